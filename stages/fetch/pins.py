"""The pinned table: name, size and sha256 of every file, written at the first fetch, obeyed by all later ones."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

from stages.fetch.record import Listed
from stages.parts.errors import GraftError
from stages.parts.store.atomic import write_csv

COLUMNS = ("name", "size", "sha256")


@dataclass(frozen=True)
class Pin:
    size: int
    sha256: str


def read(path: Path) -> dict[str, Pin]:
    """name -> pin; empty when there is no table yet. Raises GraftError when it is damaged."""
    if not path.is_file():
        return {}
    try:
        with open(path, newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        pins = {row["name"]: Pin(int(row["size"]), row["sha256"]) for row in rows}
        if not all(len(pin.sha256) == 64 and set(pin.sha256) <= set("0123456789abcdef") for pin in pins.values()):
            raise ValueError("a sha256 is none")
    except (KeyError, TypeError, ValueError, csv.Error):
        raise GraftError(f"{path} is damaged; restore it with git (`git checkout {path}`)") from None
    return pins


def write(path: Path, pins: dict[str, Pin]) -> None:
    """Whole or not at all, sorted by name."""
    write_csv(path, COLUMNS, ((name, pins[name].size, pins[name].sha256) for name in sorted(pins)))


def compare(listed: list[Listed], pins: dict[str, Pin], path: Path) -> None:
    """Refuse a record that lists other files, or other sizes, than the pinned ones."""
    if not pins:
        return
    names = {file.name for file in listed}
    changed = sorted(file.name for file in listed if file.name in pins and pins[file.name].size != file.size)
    for words, found in (("no longer has", pins.keys() - names), ("now also has", names - pins.keys())):
        if found:
            raise refusal(f"the record {words} {', '.join(sorted(found))}", path)
    if changed:
        raise refusal(f"{changed[0]} has another size than the pinned {pins[changed[0]].size} bytes", path)


def refusal(what: str, path: Path) -> GraftError:
    return GraftError(
        f"{what}; {path} pins what was fetched first: if the change is meant, delete that file and fetch again"
    )
