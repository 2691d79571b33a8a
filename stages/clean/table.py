"""The score table as arrays: one row per sample, one column per score."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stages.labels import GraftError

# What needs a model or an attribution map: a method, or an imported cutout, may come without it.
OPTIONAL = {
    "predicted_iou", "stability", "agreement", "map_agreement", "class_score", "class_margin", "entropy", "phash",
}  # fmt: skip
HASH = "phash"  # the one column that is no number: 64 bits as 16 hex digits


@dataclass(frozen=True)
class Table:
    """uids and reasons ("" when measured), (n,) each; scores: column -> (n,) float64, NaN where a score was not
    measured; hashes: (n,) uint64, 0 where none was."""

    uids: list[str]
    reasons: list[str]
    scores: dict[str, NDArray[np.float64]]
    hashes: NDArray[np.uint64]

    @property
    def measured(self) -> NDArray[np.bool_]:
        """(n,) the rows without a reason."""
        return np.array([not reason for reason in self.reasons], dtype=np.bool_)


def read(path: Path, columns: Sequence[str]) -> Table:
    """The table with these columns, sorted by uid. GraftError, naming the line, if it is missing or malformed.

    An empty cell is a score that was not measured; OPTIONAL ones alone may be missing from a sample without a
    reason. A word, an infinity or a NaN is no score: a NaN would pass every threshold."""
    again = f"run `python -m stages.refine {path.parent.name}` or `dvc repro`"
    if not path.is_file():
        raise GraftError(f"{path} is missing; {again}")
    with open(path, newline="") as file:
        lines = csv.reader(file)
        header = next(lines, [])
        if missing := [column for column in ("uid", "reason", *columns) if column not in header]:
            raise GraftError(f"{path} has no column {', '.join(missing)}; {again}")
        places = [header.index(column) for column in ("uid", "reason", *columns)]
        rows = []
        for line in lines:
            try:
                uid, reason, *cells = (line[place] for place in places)
                rows.append((uid, reason, [_number(*pair, reason) for pair in zip(columns, cells, strict=True)]))
            except (IndexError, ValueError):
                raise GraftError(
                    f"{path}:{lines.line_num} has a score that is no number; delete the file and {again}"
                ) from None
    rows.sort(key=lambda row: row[0])
    values = {column: [numbers[k] for _, _, numbers in rows] for k, column in enumerate(columns)}
    hashes = np.array(values.pop(HASH, [0] * len(rows)), dtype=np.uint64)
    scores = {column: np.array(numbers, dtype=np.float64) for column, numbers in values.items()}
    return Table([row[0] for row in rows], [row[1] for row in rows], scores, hashes)


def _number(column: str, text: str, reason: str) -> float | int:
    if not text and (reason or column in OPTIONAL):
        return math.nan if column != HASH else 0
    if column == HASH:
        return int(text, 16)
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(text)
    return number
