"""Where in the unpacked record the cutouts of each class lie. The record's names are discovered, not assumed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from stages.parts.datasets.labels import LABELS
from stages.parts.errors import GraftError

EXPECTED = (
    "expected a folder per class that holds rgb/ and ss/, the class in its path, such as dataset_trains/rgb/0.png"
)


def cutout_folders(root: Path) -> list[Path]:
    """Every folder below root that holds rgb/ and ss/, sorted; not the shadows that macOS puts into its zips."""
    found = sorted(path.parent for path in root.rglob("rgb") if path.is_dir() and (path.parent / "ss").is_dir())
    return [folder for folder in found if "__MACOSX" not in folder.parts]


def by_class(root: Path, said: Mapping[str, str]) -> dict[str, Path]:
    """Class -> folder. A folder belongs to the class in its path, or to the one that the user says: class -> path.

    Raises GraftError that tells what was found and what is expected when a folder names no class or several, or
    when two folders are of one class."""
    found = cutout_folders(root)
    if not found:
        raise GraftError(f"{root}: no cutouts found; {EXPECTED}. Found: {_shown(root)}")
    classes: dict[str, Path] = {}
    for folder in found:
        place = folder.relative_to(root).as_posix()
        names = [name for name, path in said.items() if path.strip("/") == place] or _named(place)
        if len(names) != 1:
            raise GraftError(
                f"{root}: found {place} with rgb/ and ss/, but its path names {' and '.join(names) or 'no class'}; "
                f"say which it is: --class <name>={place}"
            )
        if names[0] in classes:
            other = classes[names[0]].relative_to(root)
            raise GraftError(
                f"{root}: {other} and {place} are both {names[0]}; say which is: --class {names[0]}={place}"
            )
        classes[names[0]] = folder
    for name, path in said.items():
        if name not in classes:
            places = ", ".join(folder.relative_to(root).as_posix() for folder in found)
            raise GraftError(f"--class {name}={path}: no such folder of cutouts; found: {places}")
    return classes


def _named(place: str) -> list[str]:
    """The classes whose name, or its plural, is a word of the path; the part nearest to the images decides."""
    for part in reversed(place.lower().split("/")):
        words = {word for word in re.split(r"[^a-z]+", part) if word}
        if found := [name for name in LABELS.names if {name, name + "s", name + "es"} & words]:
            return found
    return []


def _shown(root: Path) -> str:
    paths: Iterable[Path] = sorted(path for path in root.rglob("*") if len(path.relative_to(root).parts) <= 3)
    shown = [path.relative_to(root).as_posix() + "/" * path.is_dir() for path in paths]
    return ", ".join(shown[:12]) + ", ..." * (len(shown) > 12) or "nothing"
