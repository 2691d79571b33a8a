"""The small models that git keeps: their size, their layout, and the figures that its page tells."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from diffusers import StableDiffusionPipeline

from stages.parts.world.objects import SUBTYPES

ROOT = Path(__file__).parents[2]
MODELS = ROOT / "models/miniature"
FIGURES = json.loads((ROOT / "metrics/miniature.json").read_text())


def test_they_are_small_and_nothing_in_them_is_unpickled() -> None:
    files = [path for path in MODELS.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= 60e6
    assert {path.suffix for path in files} == {".json", ".safetensors"}


def test_the_drawing_model_opens_as_anybody_elses_and_attends_at_two_resolutions() -> None:
    pipe = StableDiffusionPipeline.from_pretrained(MODELS / "diffusion", local_files_only=True)
    assert pipe.unet.config.sample_size * pipe.vae_scale_factor == 64
    assert sum("CrossAttn" in kind for kind in pipe.unet.config.down_block_types) >= 2


@pytest.mark.parametrize("kind", SUBTYPES)
def test_the_scorer_knows_the_drawings_of_every_class(kind: str) -> None:
    assert FIGURES["scorer_on_drawings"][kind] >= 0.90


def test_sam_cuts_held_out_objects_out() -> None:
    assert FIGURES["sam_iou"]["cross"] >= 0.85


def test_their_page_tells_these_figures() -> None:
    readme = (ROOT / "lines/miniature/README.md").read_text()
    said = ", ".join(f"{kind} {round(100 * FIGURES['scorer_on_drawings'][kind])} %" for kind in SUBTYPES)
    assert said in readme
    assert f"| {FIGURES['sam_iou']['cross']:.3f} |" in readme
    for sets in ("streets_miou", "photos_miou"):
        own, random, colours = (f"{FIGURES['vit'][name][sets]:.1f}" for name in ("vit", "random", "colours"))
        assert re.search(rf"{own} \((random weights )?{random}, (colours )?{colours}\)", readme)


def test_the_vit_sees_what_random_weights_do_not() -> None:
    known, random = FIGURES["vit"]["vit"], FIGURES["vit"]["random"]
    assert known["streets_miou"] >= random["streets_miou"] + 10
    assert known["photos_miou"] > random["photos_miou"] and known["photos_knn"] > random["photos_knn"]


def test_the_saliency_net_finds_objects_of_photos() -> None:
    assert FIGURES["saliency"]["max_f"] >= 0.90
