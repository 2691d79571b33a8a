"""The keep-list that clean writes: data/cleaned/CLASS.csv, with the columns uid, kept and reason."""

from __future__ import annotations

from pathlib import Path

from stages.parts.errors import GraftError
from stages.parts.store.documents import read_csv

COLUMNS = ("uid", "kept", "reason")


def kept_uids(path: Path) -> list[str]:
    """The uids that the keep-list keeps, in its order. Raises GraftError when it is missing or is no keep-list."""
    return verdicts(path)[0]


def verdicts(path: Path) -> tuple[list[str], dict[str, list[str]]]:
    """The kept uids, and reason -> rejected uids, sorted by reason. Raises GraftError as kept_uids does."""
    again = f"run `python -m stages.clean {path.stem}` or `dvc repro`"
    kept: list[str] = []
    rejected: dict[str, list[str]] = {}
    for row in read_csv(path, COLUMNS, again):
        if row["kept"] not in ("0", "1"):
            raise GraftError(f"{path}: {row['uid']} is neither kept (1) nor rejected (0); {again}")
        (kept if row["kept"] == "1" else rejected.setdefault(row["reason"], [])).append(row["uid"])
    return kept, dict(sorted(rejected.items()))
