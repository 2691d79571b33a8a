"""Rooms do not import one another: what two of them need lies at the root of stages/."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.test_declared_deps import ROOT, imported_by

ROOMS = sorted(path.parent.name for path in (ROOT / "stages").glob("*/__init__.py"))
# Who may look into which other room, and why.
MAY = {
    "compare": {"segmenter", "train"},  # its cells are train's presets, run as train runs
    "evaluate": {"segmenter"},
    "miniature": {"generate", "refine", "segmenter"},  # its release examines the models with the code that uses them
    "refine": {"segmenter"},  # the score entropy
    "scenes": {"miniature"},  # the streets
    "train": {"segmenter"},
}


def room_of(file: Path) -> str | None:
    return file.parts[1] if len(file.parts) > 2 else None


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_no_other_room(room: str) -> None:
    files = [path.relative_to(ROOT) for path in (ROOT / "stages" / room).glob("*.py")]
    may = {None, room, *MAY.get(room, set())}
    strange = sorted((str(file), str(path)) for file in files for path in imported_by(file) if room_of(path) not in may)
    assert not strange, f"{strange[0][0]} imports {strange[0][1]}"


def test_only_preflight_looks_from_the_root_into_rooms() -> None:
    root = [path.relative_to(ROOT) for path in (ROOT / "stages").glob("*.py")]
    looking = {file.name for file in root if any(room_of(path) for path in imported_by(file))}
    assert looking == {"preflight.py"}
