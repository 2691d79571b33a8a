"""The keep-list that clean writes: data/cleaned/CLASS.csv, with the columns uid, kept and reason."""

from __future__ import annotations

import csv
from pathlib import Path

from stages.labels import GraftError


def kept_uids(path: Path) -> list[str]:
    """The uids that the keep-list keeps. Raises GraftError when it is missing or is no keep-list."""
    if not path.is_file():
        raise GraftError(f"{path} is missing; run `python -m stages.clean {path.stem}` or `dvc repro`")
    with open(path, newline="") as file:
        reader = csv.DictReader(file)
        if not {"uid", "kept"} <= set(reader.fieldnames or ()):
            raise GraftError(f"{path} has no columns uid and kept; run `python -m stages.clean {path.stem}` again")
        return [row["uid"] for row in reader if row["kept"] == "1"]
