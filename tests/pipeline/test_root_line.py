"""What DVC users expect of the root line, tried on a real `dvc repro` of a small repo."""

import csv
import io
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.pipeline.conftest import Line, make_line


def test_a_second_repro_runs_nothing(line: Line) -> None:
    assert line.repro() == set()


def test_the_summary_has_the_promised_shape(line: Line) -> None:
    summary = json.loads((line.folder / "metrics/summary.json").read_text())
    assert set(summary) == {"baseline", "grafted"}
    for means in summary.values():
        assert list(means) == ["novel_mIoU", "base_mIoU", "mIoU"]
        assert all(0 <= value <= 100 for value in means.values())


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


def test_an_experiment_runs_what_its_param_reaches_is_listed_and_back_again_nothing_trains(line: Line) -> None:
    line.sh("git", "add", "-A")
    line.sh("git", "commit", "-qm", "finished")
    area = _between_areas(line)
    said = line.sh("dvc", "exp", "run", "-n", "fewer", "-S", f"clean.max_area={area}").stdout
    ran = set(re.findall(r"Running stage '([^']+)'", said))
    assert {"clean@truck", "cutouts@grafted", "train@grafted-0", "evaluate@grafted-0", "report"} <= ran
    assert not {"scenes", "generate@truck", "refine@truck", "train@baseline-0"} & ran
    header, *rows = csv.reader(io.StringIO(line.sh("dvc", "exp", "show", "--csv").stdout))
    (fewer,) = [dict(zip(header, row, strict=True)) for row in rows if "fewer" in row]
    assert float(fewer["clean.max_area"]) == pytest.approx(area)
    assert 0 <= float(fewer["grafted.novel_mIoU"]) <= 100

    # What a user sees of it.
    shown, diff, told = (
        line.sh(*command.split()).stdout.splitlines()
        for command in ("dvc metrics show", "dvc metrics diff", "python -m stages.compare experiments")
    )
    assert max(map(len, [*shown, *diff, *told])) <= 160 and len(diff) <= 10
    assert any(row.split()[:2] == ["metrics/clean/truck.json", "kept"] for row in diff)
    (listed,) = [row.split() for row in told if row.startswith("  fewer ")]
    assert listed[-1] == f"clean.max_area={area}" and 0 < int(listed[1]) < 4

    line.set({"clean": {"max_area": None}})
    ran = line.repro()
    assert "clean@truck" not in ran and not {stage for stage in ran if stage.startswith("train")}


def _edit(name: str, old: str, new: str) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        text = (folder / name).read_text()
        assert old in text
        (folder / name).write_text(text.replace(old, new, 1))

    return edit


def _empty_grammar(folder: Path) -> None:
    (folder / "data/prompts/truck.yaml").write_text("template: 'a {subtype} {place}'\nsubtypes: []\nplaces: [here]\n")


def _cut_weights(folder: Path) -> None:
    path = folder / "models/miniature/diffusion/unet/diffusion_pytorch_model.safetensors"
    path.write_bytes(path.read_bytes()[:1000])


def _damaged_shard(folder: Path) -> None:
    """A byte in the midst of every shard that refine is to read, in a folder that has nothing refined."""
    shutil.rmtree(folder / "data/refined")
    for path in (folder / "data/generated/truck").glob("*.tar"):
        content = bytearray(path.read_bytes())
        for place in range(600, len(content), 1024):
            content[place] ^= 1
        path.unlink()  # DVC may have linked it to its cache
        path.write_bytes(content)


def _nothing_left(folder: Path) -> None:
    Line(folder).set({"clean": {"max_area": 0.0}})


@pytest.mark.parametrize(
    ("damage", "command", "words"),
    [
        (_edit("params.yaml", "max_area:", "max_areaa:"), "clean truck", ["params.yaml", "clean.max_areaa"]),
        (_edit("params.yaml", "- truck", "- unicorn"), "generate truck", ["params.yaml: classes", "'unicorn'"]),
        (_edit("params.yaml", "- truck", "- unicorn"), "preflight", ["params.yaml: classes", "'unicorn'"]),
        (_edit("params.yaml", "- truck", "- rider"), "preflight", ["data/prompts/rider.yaml", "no such file"]),
        (_empty_grammar, "generate truck", ["truck.yaml", "subtypes"]),
        (_cut_weights, "generate truck", ["safetensors", "damaged"]),
        (lambda folder: shutil.rmtree(folder / "models/miniature/sam"), "refine truck", ["models/miniature/sam"]),
        (_damaged_shard, "refine truck", ["data/generated/truck", "is missing or damaged; run "]),
        (_nothing_left, "clean truck", ["clean truck: none of 4 samples is kept", "clean.max_area"]),
    ],
    ids=["key", "class", "class, early", "no grammar", "grammar", "weights", "missing", "shard", "nothing left"],
)
def test_bad_input_is_one_sentence_before_any_work(
    line: Line, damage: Callable[[Path], None], command: str, words: list[str]
) -> None:
    damage(line.folder)
    stage, *rest = command.split()
    done = line.sh("python", "-m", f"stages.{stage}", *rest, check=False)
    assert done.returncode == 2
    error = [text for text in done.stderr.splitlines() if text.startswith("error: ")]
    assert len(error) == 1 and all(word in error[0] for word in words), done.stderr
