"""A result that was made by hand says with what command and commit, and what has changed since."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from stages.compare.by_hand import TABLE, by_hand, figures
from stages.parts.errors import GraftError

ROOT = Path(__file__).parents[2]
MADE = json.loads((ROOT / TABLE).read_text())
HAND = [f"metrics/{name}.json" for name in ("seeds", "controls")]


def test_every_result_that_no_line_makes_is_in_the_table() -> None:
    compared = [path.relative_to(ROOT).as_posix() for path in (ROOT / "metrics/compare").glob("*.json")]
    assert set(MADE) == {*HAND, *compared}
    assert all((ROOT / path).is_file() and made["command"] for path, made in MADE.items())


@pytest.fixture
def repo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A git repo with one result made by hand, one commit, and the repo's own params."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(ROOT / "metrics/code", tmp_path / "metrics/code")
    shutil.copy(ROOT / "params.yaml", tmp_path)
    for name in ("summary", "seeds"):
        shutil.copy(ROOT / f"metrics/{name}.json", tmp_path / "metrics")
    from stages.parts.store.fingerprint import fingerprint

    for stage in ("train", "clean"):
        (tmp_path / f"metrics/code/{stage}").write_text(fingerprint(f"stages.{stage}.__main__") + "\n")
    git("init", "-q")
    git("add", "-A")
    git("-c", "user.name=x", "-c", "user.email=x@x", "commit", "-qm", "x")
    table = {"metrics/seeds.json": {"command": "dvc repro", "commit": git("rev-parse", "HEAD"), "stages": ["train"]}}
    (tmp_path / TABLE).write_text(json.dumps(table))
    return tmp_path


def git(*words: str) -> str:
    return subprocess.run(["git", *words], capture_output=True, text=True, check=True).stdout.strip()


def test_nothing_has_changed_in_the_commit_that_made_it(repo: Path) -> None:
    said = by_hand()
    assert "  dvc repro\n" in said and "code: the same" in said and "params: the same" in said


def test_a_changed_param_of_its_stages_is_named_and_no_other(repo: Path) -> None:
    text = (repo / "params.yaml").read_text()
    changed = text.replace("iterations: 1000", "iterations: 999", 1).replace("max_area: 0.4", "max_area: 0.3", 1)
    assert changed != text
    (repo / "params.yaml").write_text(changed)
    assert "params: other now: train.iterations\n" in f"{by_hand()}\n"


def test_other_code_is_named_by_its_stage(repo: Path) -> None:
    (repo / "metrics/code/train").write_text("0" * 64 + "\n")
    git("add", "-A")
    git("-c", "user.name=x", "-c", "user.email=x@x", "commit", "-qm", "y")
    table = json.loads((repo / TABLE).read_text())
    table["metrics/seeds.json"] |= {"commit": git("rev-parse", "HEAD"), "stages": ["clean", "train"]}
    (repo / TABLE).write_text(json.dumps(table))
    assert "code: other now in train\n" in by_hand()


def test_figures_are_those_of_the_line_or_by_how_much_they_are_not(repo: Path) -> None:
    path = Path("metrics/summary.json")
    told = {name: {"novel_mIoU": 10.0, "base_mIoU": 60.0} for name in ("baseline", "grafted")}
    path.write_text(json.dumps(told))
    of_each = {name: {"novel_of_each": [10.0, 3.0], "base_of_each": [60.0, 2.0]} for name in told}
    Path("metrics/seeds.json").write_text(json.dumps({"test": of_each}))
    assert figures(Path("metrics/seeds.json")) == ["figures: those of the line today"]
    of_each["grafted"]["base_of_each"] = [58.5, 60.0]
    Path("metrics/seeds.json").write_text(json.dumps({"test": of_each}))
    assert figures(Path("metrics/seeds.json")) == ["figures: up to 1.50 from the line"]


def test_a_commit_that_git_does_not_have_is_one_sentence(repo: Path) -> None:
    table = json.loads((repo / TABLE).read_text())
    table["metrics/seeds.json"]["commit"] = "0123456"
    (repo / TABLE).write_text(json.dumps(table))
    with pytest.raises(GraftError, match="no commit 0123456"):
        by_hand()
