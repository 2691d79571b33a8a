"""The template of a line, followed as its page says: a fifth line with a toy stage, in a repo of its own."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.pipeline.conftest import LEFT_OUT, ROOT, Line

TEMPLATE = ROOT / "lines/template"
TOY = """    kept = [float(row) for row in rows if float(row) >= settings.threshold]
    return {"share": len(kept) / max(len(rows), 1)}"""
COPIED = ("stages/__init__.py", "stages/code.py", "requirements.txt", ".dvcignore", "tests/__init__.py")


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory) -> Line:
    """A repo with the parts, the stage `code`, and the toy line; nothing has run."""
    folder = tmp_path_factory.mktemp("template") / "repo"
    shutil.copytree(ROOT / "stages/parts", folder / "stages/parts", ignore=LEFT_OUT)
    shutil.copytree(TEMPLATE, folder / "lines/template")
    for name in COPIED:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    code = YAML(typ="safe").load((ROOT / "dvc.yaml").read_text())["stages"]["code"]
    with (folder / "dvc.yaml").open("w") as stream:
        YAML().dump({"stages": {"code": code}}, stream)
    (folder / "params.yaml").write_text("engine:\n  threads: 1\n")
    (folder / ".gitignore").write_text("__pycache__\n")
    line = Line(folder)
    line.sh("sh", "-ec", commands())
    stage = folder / "stages/toy/measure.py"
    stage.write_text(stage.read_text().replace("    raise NotImplementedError  # yours", TOY))
    (folder / "data/toy").mkdir(parents=True)
    (folder / "data/toy/numbers.csv").write_text("0.25\n0.5\n0.75\n1.0\n")
    line.sh("git", "init", "-q")
    line.sh("git", "config", "user.email", "test@example.org")
    line.sh("git", "config", "user.name", "test")
    line.sh("dvc", "init", "-q")
    line.sh("python", "-m", "stages.code")
    line.sh("git", "add", "-A")
    line.sh("git", "commit", "-qm", "a toy line")
    return line


@pytest.fixture
def toy(origin: Line, tmp_path: Path) -> Line:
    return Line(Path(shutil.copytree(origin.folder, tmp_path / "repo", symlinks=True)))


def commands() -> str:
    """The shell commands of the page, with another name for the line."""
    block = re.search(r"(?m)^    line=mine\n(?:    .*\n)+", (TEMPLATE / "README.md").read_text())
    assert block
    return re.sub(r"(?m)^    ", "", block.group()).replace("line=mine", "line=toy")


def share(line: Line) -> float:
    return float(json.loads((line.folder / "metrics/toy/summary.json").read_text())["share"])


def test_the_line_runs_once_and_again_when_its_value_changes(toy: Line) -> None:
    assert "lines/toy/dvc.yaml:measure" in toy.repro("lines/toy/dvc.yaml")
    assert share(toy) == 0.75
    assert toy.repro("lines/toy/dvc.yaml") == toy.repro("-P") == set()
    toy.set({"toy": {"source": "data/toy/numbers.csv", "measure": {"threshold": 0.8}}})
    assert toy.repro("-P") == {"lines/toy/dvc.yaml:measure"} and share(toy) == 0.25


def test_an_edit_of_its_code_runs_it_and_a_comment_does_not(toy: Line) -> None:
    toy.repro("-P")
    stage = toy.folder / "stages/toy/measure.py"
    stage.write_text(stage.read_text().replace("    kept =", "    # those that are large\n    kept ="))
    assert toy.repro("-P") == {"code"}
    stage.write_text(stage.read_text().replace(">=", ">"))
    assert toy.repro("-P") == {"code", "lines/toy/dvc.yaml:measure"} and share(toy) == 0.5


def test_an_experiment_in_a_folder_of_its_own_leaves_the_workspace_alone(toy: Line) -> None:
    toy.repro("-P")
    toy.sh("git", "add", "-A")
    toy.sh("git", "commit", "-qm", "run")
    toy.sh("dvc", "exp", "run", "--temp", "-n", "strict", "lines/toy/dvc.yaml", "-S", "toy.measure.threshold=0.8")
    assert share(toy) == 0.75
    shown: list[dict[str, Any]] = json.loads(toy.sh("dvc", "exp", "show", "--json").stdout)
    (experiment,) = (one for entry in shown for one in entry.get("experiments") or [])
    assert experiment["revs"][0]["data"]["metrics"]["metrics/toy/summary.json"]["data"] == {"share": 0.25}


def test_its_own_test_passes_and_fails_before_the_stage_is_written(toy: Line) -> None:
    words = ("python", "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/toy")
    toy.sh(*words)
    shutil.copy(TEMPLATE / "measure.py.template", toy.folder / "stages/toy/measure.py")
    stage = toy.folder / "stages/toy/measure.py"
    stage.write_text(stage.read_text().replace("LINE", "toy"))
    assert "NotImplementedError" in toy.sh(*words, check=False).stdout


def test_the_template_itself_is_no_pipeline_and_its_code_is_clean(toy: Line) -> None:
    assert set(toy.sh("dvc", "stage", "list", "--all", "--name-only").stdout.split()) == {
        "code", "lines/toy/dvc.yaml:measure",
    }  # fmt: skip
    toy.sh("ruff", "check", "--line-length", "120", "--select", "E,F,UP,B,SIM,RUF", "stages/toy", "tests/toy")
    toy.sh("ruff", "format", "--line-length", "120", "--check", "stages/toy", "tests/toy")
