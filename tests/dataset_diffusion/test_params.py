"""The section of params.yaml: what is wrong in it is one sentence with the key; presets write values and no more."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from stages.dataset_diffusion.params import Params
from stages.dataset_diffusion.preset import PRESETS, main
from stages.parts.errors import GraftError
from stages.parts.sections import read
from tests.dataset_diffusion.conftest import ROOT, set_line


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return Path(shutil.copy(ROOT / "params.yaml", tmp_path))


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"masks.uncertain": 0.7}, "uncertain must not be above threshold"),
        ({"masks.power": 3}, "variant full has the power 3, which powers lacks"),
        ({"variants": ["half"]}, "variants names 'half', of which changes says nothing"),
        ({"prompts": ["caption"]}, "variant plainest reads prompts 'classes', which prompts lacks"),
        ({"space": "vco"}, "space: input should be 'cityscapes'"),
        ({"train.model": "vgg"}, "train.model: input should be 'unet'"),
        ({"train.real": 1.5}, "train.real"),
        ({"train.resize": [2.0, 0.5]}, "resize is [smallest, largest]"),
        ({"changes.full.masks": {"treshold": 0.5}}, "changes.full.masks.treshold"),
        ({"changes.full.masks": {"uncertain": 0.9}}, "changes.full.masks: uncertain must not be above threshold"),
        ({"changes.full.train": {"compose": {"probability": 2.0}}}, "changes.full.train.compose.probability"),
        ({"changes.full.train": {"drawn": False}}, "variant full trains on nothing"),
        ({"changes.supervised.train": {"drawn": False, "real": 1.0, "rounds": 2}}, "rounds 2 labels the drawings anew"),
        ({"powers": [1, 1]}, "powers: names 1 twice"),
    ],
)
def test_a_bad_value_is_one_sentence(file: Path, values: dict[str, Any], said: str) -> None:
    set_line(values)
    with pytest.raises(GraftError) as caught:
        read(Params)
    assert said in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "values", [{"masks.threshold": 0.55}, {"masks.power": 4}, {"masks.uncertain": 0.3}, {"powers": [0, 2]}]
)
def test_one_changed_value_leaves_every_variant_valid(file: Path, values: dict[str, Any]) -> None:
    before = read(Params).dataset_diffusion
    set_line(values)
    line = read(Params).dataset_diffusion
    assert line != before and line.changes == before.changes
    assert all(line.masks_of(variant) and line.train_of(variant) for variant in line.changes)


def test_a_variant_is_the_sections_with_its_own_changes(file: Path) -> None:
    line = read(Params).dataset_diffusion
    assert line.masks_of("full") == line.masks and line.train_of("full") == line.train
    plainest = line.masks_of("plainest")
    assert (plainest.power, plainest.snap.model, plainest.snap.prompt) == (0, None, line.masks.snap.prompt)
    assert line.train_of("full_selftrained") == line.train.model_copy(update={"rounds": 2})


def test_ours_is_what_the_repo_has_and_comes_back_after_published(file: Path) -> None:
    before = read(Params)
    main(["ours"])
    assert file.read_text() == (ROOT / "params.yaml").read_text()
    main(["published"])
    assert read(Params) != before
    main(["ours"])
    assert read(Params) == before


def test_published_has_the_thresholds_alone(file: Path) -> None:
    main(["published"])
    line = read(Params).dataset_diffusion
    masks, train = line.masks_of("full"), line.train_of("full")
    assert (masks.power, masks.threshold, masks.uncertain, masks.margin) == (4, 0.6, 0.5, 0.0)
    assert masks.snap.model is None and masks.presence.model is None and masks.crf.iterations == 0
    assert (line.generate.self_halvings, line.generate.cross_halvings, line.generate.steps) == (1, 2, 100)
    assert len(line.generate.negative.split(", ")) == 21 and line.generate.guidance == 7.5
    assert (train.model, train.iterations, train.lr, train.clip) == ("deeplabv3-r50", 20_000, 1e-4, 0.01)
    assert train.compose.probability == 0 and train.ema is None and train.resize == [0.5, 2.0]


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_leaves_models_space_and_variants(file: Path, name: str) -> None:
    kept = ("space", "photos", "model", "revision", "variants", "seeds", "changes")
    before = read(Params).dataset_diffusion.model_dump(include=set(kept))
    main([name])
    assert read(Params).dataset_diffusion.model_dump(include=set(kept)) == before
