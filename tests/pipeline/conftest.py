"""A small repo of its own for the pipeline tests: the real stages, the real models, few and small samples."""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from stages.clean.params import Rules

ROOT = Path(__file__).parents[2]
COPIED = ("stages", "models/miniature", "data/prompts", "dvc.yaml", "requirements.txt", ".dvcignore", ".gitignore")
LEFT_OUT = shutil.ignore_patterns("__pycache__")
SMALL = {
    "classes": ["truck"],
    "scenes": {"source": 8, "target": 8, "val": 4, "test": 9},
    "photos": {"train": 2, "val": 1, "test": 1},
    "generate": {"count": 4, "batch": 4, "steps": 4},
    "clean": dict.fromkeys(Rules.model_fields),
    "engine": {"threads": 1},
    "train": {"iterations": 3, "batch": 2, "warmup": 1},
}  # fmt: skip


@dataclass
class Line:
    """A git and DVC repo in a folder, and what is done with it."""

    folder: Path

    def environment(self) -> dict[str, str]:
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        return os.environ | {"PATH": path, "DVC_NO_ANALYTICS": "1", "HF_HUB_OFFLINE": "1"}

    def sh(self, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(command, cwd=self.folder, env=self.environment(), capture_output=True, text=True)
        assert not check or done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        return done

    def repro(self, *targets: str) -> set[str]:
        """`dvc repro`, with options if need be, and the names of the stages that it ran."""
        return set(re.findall(r"Running stage '([^']+)'", self.sh("dvc", "repro", *targets).stdout))

    def set(self, changes: dict) -> None:
        """Change values in params.yaml."""
        yaml, path = YAML(), self.folder / "params.yaml"
        params = yaml.load(path.read_text())
        for section, values in changes.items():
            if isinstance(values, dict):
                params[section].update(values)
            else:
                params[section] = values
        with path.open("w") as stream:
            yaml.dump(params, stream)

    def outs(self) -> dict[str, str]:
        """Every output in dvc.lock with its hash."""
        lock = YAML(typ="safe").load((self.folder / "dvc.lock").read_text())
        return {out["path"]: out["md5"] for stage in lock["stages"].values() for out in stage.get("outs", [])}


def make_line(folder: Path) -> Line:
    for name in COPIED:
        source, copy = ROOT / name, folder / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, copy, ignore=LEFT_OUT)
        else:
            shutil.copy(source, copy)
    shutil.copy(ROOT / "params.yaml", folder / "params.yaml")
    line = Line(folder)
    line.set(SMALL)
    line.sh("git", "init", "-q")
    line.sh("git", "config", "user.email", "test@example.org")
    line.sh("git", "config", "user.name", "test")
    line.sh("dvc", "init", "-q")
    line.sh("git", "add", "-A")
    line.sh("git", "commit", "-qm", "a small line")
    return line


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Line:
    """A line that has run once, from nothing. Not to be changed."""
    made = make_line(tmp_path_factory.mktemp("finished"))
    made.repro()
    return made


@pytest.fixture
def line(finished: Line, tmp_path: Path) -> Line:
    """A copy of the finished line, to be changed at will."""
    return Line(Path(shutil.copytree(finished.folder, tmp_path / "line", symlinks=True)))
