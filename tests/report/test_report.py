"""The stage as a user runs it: what it writes, what it refuses, that equal inputs give equal bytes."""

from __future__ import annotations

import csv
import json
import re
import shutil
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from stages.clean.rules import RULES
from stages.parts.drawing.page import MEANINGS
from stages.refine.refiner import EMPTY_MASK, EMPTY_SEED
from stages.report.__main__ import main

SAMPLER = Path(__file__).parents[2] / "stages/generate/sampler.py"
OUTPUTS = ["summary.json", "iou.csv", "confusion.csv", "curves.csv", "overview.png"]


def outputs() -> dict[str, bytes]:
    files = [Path("metrics") / name for name in OUTPUTS] + sorted(Path("data/report/ucg").iterdir())
    return {str(path): path.read_bytes() for path in files}


def test_the_whole_report(line: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main([])
    result = json.loads(Path("metrics/summary.json").read_text())
    assert list(result) == ["baseline", "grafted"]
    assert result["baseline"]["novel_mIoU"] == result["baseline"]["novel_std"] == 0.0
    assert set(result["grafted"]) == {"novel_mIoU", "base_mIoU", "mIoU", "novel_std", "base_std", "std"}
    with open("metrics/iou.csv") as file:
        iou = {(row["split"], row["recipe"], row["class"]): float(row["IoU"]) for row in csv.DictReader(file)}
    assert iou["test", "grafted", "bus"] == 100 and iou["val", "grafted", "bus"] == 0
    assert ("test", "grafted", "fence") not in iou
    # sky: of 4 * 8 * 31 pixels, less 148 of vehicles ... a column of 8 rows per image is lost to road, two with seed 1
    sky = 4 * 8 * 31 - (3 * 4 * 12)
    assert iou["test", "grafted", "sky"] == round((100 * (sky - 32) / sky + 100 * (sky - 64) / sky) / 2, 2)
    printed = capsys.readouterr().out
    assert re.search(r"bus \(novel\) +0.00 ± 0.00 +100.00 ± 0.00 +\+100.00", printed)
    assert "data/report/ucg/index.html" in printed
    with open("metrics/curves.csv") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["recipe", "seed", "iter", "loss", "mix.quality"]
    assert {(row["recipe"], row["seed"]) for row in rows} == {(r, s) for r in ("baseline", "grafted") for s in "01"}


def test_the_page_links_to_files_that_exist_and_tells_the_counts(line: Path) -> None:
    main([])
    html = Path("data/report/ucg/index.html").read_text()
    links = re.findall(r'src="([^"]+)"', html)
    assert sorted(links) == sorted(path.name for path in Path("data/report/ucg").glob("*.png"))
    assert {"truck.png", "bus.png", "segmentations.png", "iou.png", "confusion.png", "curves.png"} == set(links)
    assert "<td>bus</td><td>12</td><td>9</td><td>2 (2)</td><td>0 (4)</td><td>1</td>" in html.replace("\n", "")
    assert "http" not in html and "wall" in html
    assert "Mean ± sample standard deviation over 2 seeds\n(0, 1)" in html
    assert f"<dt>large</dt><dd>{MEANINGS['large']}</dd>" in html
    assert "only if it occurs in their labels; these do not: sidewalk" in html


def test_the_page_of_one_seed_speaks_of_no_deviation(line: Path) -> None:
    text = Path("params.yaml").read_text()
    Path("params.yaml").write_text(text.replace("absent: skip", "absent: mmseg"))
    with open("params.yaml") as file:
        params = YAML().load(file)
    params["seeds"] = [1]
    with open("params.yaml", "w") as file:
        YAML().dump(params, file)
    main([])
    html = Path("data/report/ucg/index.html").read_text()
    assert "One seed (1), on the split <i>test</i>" in html and "±" not in html
    assert "as 0, once a pixel is predicted as it; these are neither labelled nor" in html


def test_every_reason_that_a_sample_may_have_is_explained() -> None:
    drawn = {
        reason for reason in SAMPLER.read_text().split('"') if re.fullmatch("(non_finite|constant|flat)_[a-z]+", reason)
    }
    assert len(drawn) == 4
    assert {rule.code for rule in RULES} | {EMPTY_SEED, EMPTY_MASK} | drawn <= MEANINGS.keys()


def test_the_same_inputs_give_the_same_bytes(line: Path) -> None:
    main([])
    first = outputs()
    shutil.rmtree("data/report/ucg")
    main([])
    assert outputs() == first


def test_the_table_comes_from_what_git_keeps_alone(line: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main([])
    printed = capsys.readouterr().out
    shutil.rmtree("data")
    main(["--table"])
    assert capsys.readouterr().out == printed
    assert not Path("data").exists()


def test_leftovers_of_removed_seeds_recipes_and_classes_are_ignored(line: Path) -> None:
    main([])
    clean = outputs()
    Path("data/evaluated/grafted-7.json").write_text("{}")
    Path("data/trained/blobs-0.csv").write_text("nonsense")
    Path("data/cleaned/train.json").write_text("nonsense")
    Path("data/report/ucg/train.png").write_bytes(b"of another day")
    main([])
    assert outputs() == clean


@pytest.mark.parametrize(
    ("path", "command"),
    [
        ("data/evaluated/grafted-1/scores.json", "python -m stages.evaluate grafted 1"),
        ("data/trained/baseline-0.csv", "python -m stages.train baseline 0"),
        ("data/cleaned/bus.json", "python -m stages.clean bus"),
        ("data/cleaned/truck.csv", "python -m stages.clean truck"),
        ("data/refined/bus/index.jsonl", "dvc repro"),
        ("data/generated/bus/index.jsonl", "dvc repro"),
        ("data/scenes/source/index.jsonl", "dvc repro"),
        ("data/evaluated/grafted-0/test/index.jsonl", "dvc repro"),
    ],
)
def test_a_missing_input_is_one_sentence_and_leaves_the_old_report(
    line: Path, capsys: pytest.CaptureFixture[str], path: str, command: str
) -> None:
    main([])
    before = outputs()
    Path(path).unlink()
    capsys.readouterr()
    with pytest.raises(SystemExit) as stopped:
        main([])
    error = capsys.readouterr().err
    assert stopped.value.code == 2
    assert error.startswith(f"error: {path} is missing; ") and command in error and error.count("\n") == 1
    assert outputs() == before


@pytest.mark.parametrize("content", ["{", "{}", "[]", '{"novel": ["train"]}'])
def test_a_broken_or_stale_evaluation_is_one_sentence(
    line: Path, capsys: pytest.CaptureFixture[str], content: str
) -> None:
    Path("data/evaluated/grafted-0/scores.json").write_text(content)
    with pytest.raises(SystemExit):
        main([])
    error = capsys.readouterr().err
    assert re.fullmatch(
        r"error: data/evaluated/grafted-0/scores.json .*`python -m stages.evaluate grafted 0`.*\n", error
    )


def test_an_evaluation_of_other_classes_is_refused(line: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = Path("data/evaluated/baseline-1/scores.json")
    path.write_text(json.dumps(json.loads(path.read_text()) | {"novel": ["truck", "bus", "train"]}))
    with pytest.raises(SystemExit):
        main([])
    assert f"error: {path} was not made for the classes truck, bus; run" in capsys.readouterr().err


def test_the_table_without_a_summary_is_one_sentence(line: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--table"])
    assert capsys.readouterr().err == (
        "error: metrics/summary.json is missing; run `python -m stages.report` or `dvc repro`\n"
    )
