"""The line from captions to its summary at a tiny size, and that its dvc.yaml says what the stages read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from stages.code import modules
from stages.dataset_diffusion import captions, evaluate, generate, masks, summary, train
from stages.dataset_diffusion.params import DatasetDiffusion
from stages.parts.segmenter.further import build_network, save_halves
from tests.dataset_diffusion.conftest import CLASSES, ROOT, content, fails, set_line

LINE = ROOT / "lines/dataset_diffusion/dvc.yaml"
STAGES = YAML(typ="safe").load(LINE.read_text())["stages"]
READS = {
    "captions": {"${dataset_diffusion.captions.source}", "models/miniature/diffusion_groups/tokenizer"},
    "generate": {"data/dataset_diffusion/captions.jsonl", "models/miniature/diffusion_groups"},
    "masks": {"data/dataset_diffusion/drawings", "models/miniature/clip", "models/miniature/sam_groups"},
    "train": {
        "data/dataset_diffusion/masks/${item.variant}", "${dataset_diffusion.photos}", "models/miniature/encoder",
    },
    "evaluate": {
        "${dataset_diffusion.photos}", "models/dataset_diffusion/${item.variant}-${item.seed}.safetensors",
    },
    "summary": {
        "${dataset_diffusion.photos}", "data/dataset_diffusion/drawings", "data/dataset_diffusion/evaluated",
        "data/dataset_diffusion/masks", "data/dataset_diffusion/trained",
    },
}  # fmt: skip


def test_the_whole_line_runs_and_its_summary_has_every_variant(project: Path) -> None:
    captions.main([])
    for prompt in ("classes", "one_by_one"):
        generate.main([prompt])
    variants = ("plainest", "full", "full_selftrained", "supervised")
    for variant in variants:
        masks.main([variant])
        train.main([variant, "0"])
        evaluate.main([variant, "0"])
    summary.main([])
    told = json.loads(Path("metrics/dataset_diffusion/summary.json").read_text())
    assert list(told) == list(variants)
    assert set(told["full"]["test"]) == {"mIoU", "IoU", "seeds"} and set(told["full"]) == {"test", "val"}
    assert set(told["full"]["test"]["IoU"]) == set(CLASSES)
    assert set(told["full"]["test"]["mIoU"]) == {"mean", "std"}
    report = content("data/dataset_diffusion/report")
    assert set(report) == {"index.html", "drawings.png", "segmentations.png"}
    before = content("metrics/dataset_diffusion") | report
    summary.main([])
    assert content("metrics/dataset_diffusion") | content("data/dataset_diffusion/report") == before
    set_line({"photos": "elsewhere"})
    with pytest.raises(SystemExit):
        evaluate.main(["full", "0"])


def test_a_mean_over_seeds_is_theirs() -> None:
    def run(value: float) -> dict:
        return {split: {"mIoU": value, "IoU": {"bus": value, "car": None}} for split in ("val", "test")}

    told = summary.summary({"full": [run(40.0), run(60.0)], "supervised": [run(80.0)]})
    assert told["full"]["test"] == {
        "mIoU": {"mean": 50.0, "std": 14.14}, "IoU": {"bus": {"mean": 50.0, "std": 14.14}, "car": None}, "seeds": 2,
    }  # fmt: skip
    (line,) = (line for line in summary.text(told).splitlines() if line.startswith("full"))
    assert line.split() == ["full", "50.00", "±", "14.14", "50.00", "±", "14.14", "62.5", "%"]


def test_weights_of_another_space_and_missing_cells_are_sentences(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "no such segmenter; run `python -m stages.dataset_diffusion.train full 0`" in fails(
        evaluate.main, capsys, "full", "0"
    )
    save_halves(build_network("unet-3", 3), train.WEIGHTS / "full-0.safetensors", "unet-3", ("a", "b", "c"))
    assert "was trained for the classes a, b, c" in fails(evaluate.main, capsys, "full", "0")
    assert "scores.json is missing or damaged; run `python -m stages.dataset_diffusion.evaluate" in fails(
        summary.main, capsys
    )


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_depends_on_its_code_and_on_what_it_reads(name: str) -> None:
    assert set(STAGES[name]["deps"]) == {f"metrics/code/dataset_diffusion.{name}"} | READS[name]
    assert STAGES[name]["wdir"] == "../.."
    for out in STAGES[name].get("outs", []):
        assert not isinstance(out, dict) or "cache" not in next(iter(out.values()))


def test_the_params_of_the_stages_are_keys_of_the_section() -> None:
    known = DatasetDiffusion.model_fields
    for stage in STAGES.values():
        for param in stage["params"]:
            section, _, key = param.partition(".")
            assert section == "engine" or key.split(".")[0] in known


def test_every_stage_is_a_module_that_its_fingerprint_can_follow() -> None:
    assert modules(LINE) == [f"stages.dataset_diffusion.{name}" for name in STAGES]
