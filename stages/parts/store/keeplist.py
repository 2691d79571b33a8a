"""The keep-list that clean writes: data/cleaned/CLASS.csv, with the columns uid, kept and reason."""

from __future__ import annotations

import csv
from pathlib import Path

from stages.parts.errors import GraftError

COLUMNS = ("uid", "kept", "reason")


def kept_uids(path: Path) -> list[str]:
    """The uids that the keep-list keeps, in its order. Raises GraftError when it is missing or is no keep-list."""
    return verdicts(path)[0]


def verdicts(path: Path) -> tuple[list[str], dict[str, list[str]]]:
    """The kept uids, and reason -> rejected uids, sorted by reason. Raises GraftError as kept_uids does."""
    again = f"run `python -m stages.clean {path.stem}` or `dvc repro`"
    if not path.is_file():
        raise GraftError(f"{path} is missing; {again}")
    kept: list[str] = []
    rejected: dict[str, list[str]] = {}
    with open(path, newline="") as file:
        reader = csv.DictReader(file)
        if not set(COLUMNS) <= set(reader.fieldnames or ()):
            raise GraftError(f"{path} has no columns uid, kept and reason; {again}")
        for row in reader:
            (kept if row["kept"] == "1" else rejected.setdefault(row["reason"], [])).append(row["uid"])
    return kept, dict(sorted(rejected.items()))
