"""The table of four systems says what the lines' summaries say, and README what the table says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from stages.compare.__main__ import main
from stages.compare.systems import BEGIN, END, Paper, replaced, systems

ROOT = Path(__file__).parents[2]
KEYS = {"system", "set", "needs", "baseline", "result", "gain", "paper"}


def spread(mean: float, std: float) -> dict[str, float]:
    return {"mean": mean, "std": std}


SUMMARIES: dict[str, Any] = {
    "summary.json": {
        "baseline": {"novel_mIoU": 0.0, "base_mIoU": 60.0, "mIoU": 45.0},
        "grafted": {"novel_mIoU": 50.0, "base_mIoU": 64.0, "mIoU": 60.5},
    },
    "primaps/summary.json": {
        "streets": {"baseline": {"mIoU": spread(25.0, 0.5)}, "em": {"mIoU": spread(28.5, 0.25)}},
        "photos": {"baseline": {"mIoU": spread(6.0, 0.1)}, "em": {"mIoU": spread(5.5, 0.1)}},
    },
    "ncdss/summary.json": {
        "preset": "clean",
        "basic": {"novel_mIoU": spread(54.0, 1.0)},
        "eums": {"novel_mIoU": spread(59.0, 0.2)},
        "both": {"novel_mIoU": spread(63.0, 0.9)},
    },
    "dataset_diffusion/summary.json": {
        "plainest": {"test": {"mIoU": spread(30.0, 1.0), "seeds": 3}},
        "full": {"test": {"mIoU": spread(50.0, 1.0), "seeds": 3}},
        "full_selftrained": {"test": {"mIoU": spread(52.0, 1.0), "seeds": 3}},
        "supervised": {"test": {"mIoU": spread(60.0, 1.0), "seeds": 3}},
    },
}
SEEDS = {
    "test": {
        recipe: {
            "novel_mIoU": spread(novel[0] - 1, 2.0),
            "base_mIoU": spread(base[0] - 1, 1.0),
            "novel_of_each": novel,
            "base_of_each": base,
        }
        for recipe, novel, base in (("baseline", [0.0, 0.0], [60.0, 58.0]), ("grafted", [50.0, 48.0], [64.0, 62.0]))
    }
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repo in which every line has run."""
    monkeypatch.chdir(tmp_path)
    for name, content in SUMMARIES.items():
        write(tmp_path, name, content)
    (tmp_path / "README.md").write_text(f"above\n{BEGIN}\nold\n{END}\nbelow\n")
    return tmp_path


def write(folder: Path, name: str, content: Any) -> None:
    (folder / "metrics" / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / "metrics" / name).write_text(json.dumps(content))


def test_every_line_has_its_rows_with_its_own_gain_and_the_papers(folder: Path) -> None:
    main(["systems"])
    rows = json.loads((folder / "metrics/systems.json").read_text())
    assert all(row.keys() == KEYS for row in rows)
    assert [(row["system"], row["gain"]) for row in rows] == [
        ("UCG", 50.0), ("UCG", 4.0), ("PriMaPs-EM", 3.5), ("PriMaPs-EM", -0.5), ("EUMS", 5.0), ("EUMS + cutouts", 9.0),
        ("Dataset Diffusion", 20.0), ("Dataset Diffusion", -10.0),
    ]  # fmt: skip
    assert rows[2]["baseline"] == {"mean": 25.0, "std": 0.5} and rows[2]["result"] == {"mean": 28.5, "std": 0.25}
    assert rows[2]["paper"] == {"baseline": 15.8, "result": 19.4, "gain": 3.6}
    assert rows[3]["paper"] == {"baseline": None, "result": None, "gain": None}
    assert json.loads((folder / "metrics/gains.json").read_text())["EUMS, photos, novel mIoU"] == 5.0


def test_readme_gets_the_table_between_its_marks_and_is_left_alone_otherwise(folder: Path) -> None:
    main(["systems"])
    text = (folder / "README.md").read_text()
    assert text.startswith(f"above\n{BEGIN}\n| system") and text.endswith(f"|\n{END}\nbelow\n")
    assert "| streets, mIoU | 25.0 ± 0.5 | 28.5 ± 0.2 | +3.5 | 15.8 → 19.4 |" in text
    main(["systems"])
    assert (folder / "README.md").read_text() == text


def test_a_line_that_has_not_run_is_a_sentence_and_no_row(folder: Path) -> None:
    (folder / "metrics/ncdss/summary.json").unlink()
    rows, missing = systems()
    assert not any("EUMS" in row["system"] for row in rows) and len(rows) == 6
    (sentence,) = missing
    assert sentence.startswith("EUMS has not run") and "dvc repro lines/ncdss/dvc.yaml" in sentence


def test_a_row_that_a_summary_lacks_is_a_sentence(folder: Path) -> None:
    write(folder, "ncdss/summary.json", {"basic": {"novel_mIoU": spread(54.0, 1.0)}, "eums": {"novel_mIoU": None}})
    rows, missing = systems()
    assert len(rows) == 6 and [sentence.rpartition(" has no ")[2] for sentence in missing] == [
        "eums.novel_mIoU.", "both.novel_mIoU.",
    ]  # fmt: skip


def test_without_self_training_the_plain_drawings_are_the_result(folder: Path) -> None:
    told = {name: value for name, value in SUMMARIES["dataset_diffusion/summary.json"].items() if "self" not in name}
    write(folder, "dataset_diffusion/summary.json", told)
    assert systems()[0][-2]["result"] == spread(50.0, 1.0)


def test_seeds_run_by_hand_count_while_the_line_still_gives_the_first_of_them(folder: Path) -> None:
    write(folder, "seeds.json", SEEDS)
    assert systems()[0][0]["result"] == spread(49.0, 2.0)
    grafted = SUMMARIES["summary.json"]["grafted"] | {"novel_mIoU": 50.5, "novel_std": 1.5}
    write(folder, "summary.json", SUMMARIES["summary.json"] | {"grafted": grafted})
    assert systems()[0][0]["result"] == spread(50.5, 1.5)


def test_nothing_to_tell_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit):
        main(["systems"])
    assert "no line has run yet" in capsys.readouterr().err


def test_a_readme_without_marks_is_one_sentence(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "README.md").write_text("mine\n")
    with pytest.raises(SystemExit):
        main(["systems"])
    assert "lacks the marks" in capsys.readouterr().err and (folder / "README.md").read_text() == "mine\n"
    assert replaced(f"{BEGIN}{END}", "x") == f"{BEGIN}\nx\n{END}"


def test_a_paper_of_one_figure_has_no_gain() -> None:
    assert Paper(result=51.0).row() == {"baseline": None, "result": 51.0, "gain": None}


def test_the_committed_table_is_what_the_committed_summaries_say(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    assert json.loads((ROOT / "metrics/systems.json").read_text()) == systems()[0]
