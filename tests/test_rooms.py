"""A room imports parts; parts import parts, downwards; rooms do not import one another."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from stages.parts.store.fingerprint import ROOT, file_of, imported_by

ROOMS = sorted(path.parent.name for path in (ROOT / "stages").glob("*/__init__.py") if path.parent.name != "parts")
PARTS = [
    "errors", "machine", "shell", "store", "datasets", "sections", "command", "preset", "world", "masks", "prompts",
    "recording", "pretrained", "segmenter", "measure", "pasting", "learning", "drawing", "discovery", "engine",
]  # fmt: skip
EXCEPTED = {"compare", "release"}  # they look at what other rooms made, with the code that made it
LONGEST, MOST = 250, 12  # lines of a file, files of a room


def ours(file: Path) -> set[tuple[str, ...]]:
    """The modules of ours that a file imports, as parts of their path below stages/."""
    paths = {path for name in imported_by(file) if name.startswith("stages") and (path := file_of(name))}
    return {path.relative_to(ROOT / "stages").with_suffix("").parts for path in paths}


def files(folder: str) -> list[Path]:
    return sorted((ROOT / "stages" / folder).rglob("*.py"))


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_parts_and_no_other_room(room: str) -> None:
    looking = [] if room in EXCEPTED else files(room)
    strange = {
        (file.name, ".".join(path))
        for file in looking
        for path in ours(file)
        if path[0] not in (room, "parts", "__init__", "preflight")
    }
    assert not strange


@pytest.mark.parametrize("part", PARTS)
def test_a_part_imports_those_before_it_alone(part: str) -> None:
    folder = ROOT / "stages/parts" / part
    looking = files(f"parts/{part}") if folder.is_dir() else [folder.with_suffix(".py")]
    allowed = {*PARTS[: PARTS.index(part) + 1], "__init__"}
    strange = {
        (file.name, ".".join(path))
        for file in looking
        for path in ours(file)
        if path != ("__init__",) and not (path[0] == "parts" and path[1] in allowed)
    }
    assert not strange


def test_every_part_has_its_place() -> None:
    there = {path.stem for path in (ROOT / "stages/parts").iterdir() if path.suffix == ".py" or path.is_dir()}
    assert there - {"__init__", "__pycache__"} == set(PARTS)


@pytest.mark.parametrize("file", files(""), ids=lambda file: str(file.relative_to(ROOT)))
def test_a_file_can_be_read_in_one_go(file: Path) -> None:
    assert len(file.read_text().splitlines()) <= LONGEST


@pytest.mark.parametrize("room", [*ROOMS, *(f"parts/{part}" for part in PARTS)])
def test_a_room_can_be_looked_over(room: str) -> None:
    assert len([file for file in files(room) if file.name != "__init__.py"]) <= MOST


@pytest.mark.parametrize("room", ["", *ROOMS, "parts", *(f"parts/{part}" for part in PARTS)])
def test_a_package_is_a_docstring_so_that_it_costs_nothing_to_pass_through(room: str) -> None:
    init = ROOT / "stages" / room / "__init__.py"
    if init.is_file() and room:
        body = ast.parse(init.read_text()).body
        assert all(isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) for node in body)
