"""A project that draws with a tiny pipeline of random weights."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.parts.recording.conftest import (  # fixtures of the pipelines
    grammar,
    model,
    stable_diffusion,
    stable_diffusion_2,
    stable_diffusion_xl,
    tokenizer,
)

__all__ = ["grammar", "model", "stable_diffusion", "stable_diffusion_2", "stable_diffusion_xl", "tokenizer"]

ROOT = Path(__file__).parents[2]


@pytest.fixture
def project(tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project that generates 3 trains in blocks of 4 with the tiny model, as the current directory."""
    shutil.copytree(model, tmp_path / "model")
    shutil.copytree(ROOT / "data/prompts", tmp_path / "data/prompts")
    monkeypatch.chdir(tmp_path)
    write(model="model", count=3, seed=0, steps=1, batch=4, height=64, width=128, guidance=5.0, branch="cond")
    return tmp_path


def write(section: str = "generate", /, **changes: Any) -> None:
    """The repo's params.yaml (or the one here) with other values in one section."""
    yaml, path = YAML(), Path("params.yaml")
    params = yaml.load(path if path.exists() else ROOT / "params.yaml")
    params["engine"]["threads"] = 1  # two tests run at a time
    params[section].update(changes)
    yaml.dump(params, path)


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
