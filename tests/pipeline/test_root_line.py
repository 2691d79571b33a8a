"""What DVC users expect of the root line, tried on a real `dvc repro` of a small repo."""

import json
import shutil
from pathlib import Path

import pytest

from tests.pipeline.conftest import Line, make_line


def test_a_second_repro_runs_nothing(line: Line) -> None:
    assert line.repro() == set()


def test_the_summary_has_the_promised_shape(line: Line) -> None:
    summary = json.loads((line.folder / "metrics/summary.json").read_text())
    assert set(summary) == {"baseline", "grafted"}
    for recipe in summary.values():
        assert {"mIoU", "base_mIoU", "novel_mIoU", "IoU"} <= set(recipe)
        assert set(recipe["novel_mIoU"]) == {"mean", "std"} == set(recipe["IoU"]["road"])


def test_a_cleaner_threshold_reruns_clean_and_below_but_not_the_baseline(line: Line) -> None:
    rows = (line.folder / "data/cleaned/truck.csv").read_text()
    line.set({"clean": {"max_area": _between_areas(line)}})
    ran = line.repro()
    assert (line.folder / "data/cleaned/truck.csv").read_text() != rows
    assert {"clean@truck", "cutouts@grafted", "train@grafted-0", "evaluate@grafted-0", "report"} <= ran
    assert not {"scenes", "generate@truck", "refine@truck", "train@baseline-0", "evaluate@baseline-0"} & ran


def _between_areas(line: Line) -> float:
    """A threshold that keeps some of the samples and rejects some."""
    header, *lines = (line.folder / "data/refined/truck/scores.csv").read_text().splitlines()
    column = header.split(",").index("area")
    areas = sorted({float(text) for row in lines if (text := row.split(",")[column])})
    assert len(areas) > 1, "the samples of the small line all have one area"
    return (areas[0] + areas[1]) / 2 if len(areas) == 2 else (areas[-1] + areas[-2]) / 2


def test_a_larger_count_makes_the_new_samples_alone(line: Line) -> None:
    line.set({"generate": {"count": 6}})
    said = line.sh("dvc", "repro", "generate", "refine").stdout
    assert "generate truck: kept 4, made 2" in said
    assert "refine truck: kept 4, made 2" in said


def test_a_new_class_is_generated_alone(line: Line) -> None:
    line.set({"classes": ["truck", "bus"]})
    ran = line.repro("generate")
    assert ran == {"generate@bus"}


def test_a_line_that_grew_ends_with_the_hashes_of_one_made_from_nothing(line: Line, tmp_path: Path) -> None:
    """Every output in dvc.lock, trained weights included."""
    line.set({"generate": {"count": 6}, "clean": {"max_area": _between_areas(line)}})
    line.repro()
    fresh = make_line(tmp_path / "fresh")
    shutil.copy(line.folder / "params.yaml", fresh.folder / "params.yaml")
    fresh.repro()
    assert line.outs() == fresh.outs()


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        ("unknown", ["params.yaml", "clean.max_areaa"]),
        ("grammar", ["truck.yaml", "subtypes"]),
        ("weights", ["safetensors"]),
        ("missing", ["models/miniature/sam"]),
    ],
)
def test_bad_input_is_one_sentence_before_any_work(line: Line, damage: str, words: list[str]) -> None:
    folder, stage = line.folder, "generate"
    spoiled = {
        "unknown": folder / "params.yaml",
        "grammar": folder / "data/prompts/truck.yaml",
        "weights": folder / "models/miniature/diffusion/unet/diffusion_pytorch_model.safetensors",
        "missing": folder / "models/miniature/sam",
    }[damage]
    backup = folder / "backup"
    shutil.copytree(spoiled, backup) if spoiled.is_dir() else shutil.copy(spoiled, backup)
    try:
        if damage == "unknown":
            spoiled.write_text(spoiled.read_text().replace("max_area:", "max_areaa:", 1))
        elif damage == "grammar":
            spoiled.write_text("template: 'a {subtype} {place}'\nsubtypes: []\nplaces: [here]\n")
        elif damage == "weights":
            spoiled.write_bytes(spoiled.read_bytes()[:1000])
        else:
            stage = "refine"
            shutil.rmtree(spoiled)
        done = line.sh("python", "-m", f"stages.{stage}", "truck", check=False)
    finally:
        if spoiled.exists():
            shutil.rmtree(spoiled) if spoiled.is_dir() else spoiled.unlink()
        shutil.move(backup, spoiled)
    assert done.returncode == 2
    error = [text for text in done.stderr.splitlines() if text.startswith("error: ")]
    assert len(error) == 1 and all(word in error[0] for word in words), done.stderr
