"""The score table as arrays: one row per sample, one column per score."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stages.parts.errors import GraftError

# What needs a model or an attribution map: a method, or an imported cutout, may come without it.
OPTIONAL = {
    "candidate", "predicted_iou", "stability", "agreement", "map_agreement", "seed_map_agreement", "class_score",
    "class_margin", "entropy", "phash",
}  # fmt: skip
HASH = "phash"  # the one column that is no number: 64 bits as 16 hex digits
HEX = re.compile(r"[0-9a-fA-F]{1,16}")


@dataclass(frozen=True)
class Table:
    """uids and reasons ("" when measured), (n,) each; scores: column -> (n,) float64, NaN where a score was not
    measured; hashes: (n,) uint64, and hashed: (n,) bool, False where none was measured."""

    uids: list[str]
    reasons: list[str]
    scores: dict[str, NDArray[np.float64]]
    hashes: NDArray[np.uint64]
    hashed: NDArray[np.bool_]

    @property
    def measured(self) -> NDArray[np.bool_]:
        """(n,) the rows without a reason."""
        return np.array([not reason for reason in self.reasons], dtype=np.bool_)


def read(path: Path, columns: Sequence[str], rest: bool = False) -> Table:
    """The table with these columns, and with the `rest` all others that it has, sorted by uid. GraftError, naming the
    line, if it is missing or malformed, or names a sample twice.

    An empty cell is a score that was not measured; OPTIONAL ones alone may be missing from a sample without a
    reason. A word, an infinity or a NaN is no score: a NaN would pass every threshold."""
    again = f"run `python -m stages.refine {path.parent.name}` or `dvc repro`"
    if not path.is_file():
        raise GraftError(f"{path} is missing; {again}")
    try:
        header, *lines = [*csv.reader(io.StringIO(path.read_bytes().decode(), newline=""))] or [[]]
    except (UnicodeDecodeError, csv.Error):
        raise GraftError(f"{path} is no table of UTF-8 text; {again}") from None
    if missing := [column for column in ("uid", "reason", *columns) if column not in header]:
        raise GraftError(f"{path} has no column {', '.join(missing)}; {again}")
    if rest:
        columns = [*columns, *(column for column in header if column not in ("uid", "reason", *columns))]
    places = [header.index(column) for column in ("uid", "reason", *columns)]
    rows: dict[str, tuple[str, list[float | int | None]]] = {}
    for number, line in enumerate(lines, 2):
        try:
            uid, reason, *cells = (line[place] for place in places)
            numbers = [_number(*pair, reason) for pair in zip(columns, cells, strict=True)]
        except (IndexError, ValueError):
            raise GraftError(f"{path}:{number} has a score that is no number; {again}") from None
        if uid in rows:
            raise GraftError(f"{path}:{number} names {uid} a second time; {again}")
        rows[uid] = reason, numbers
    return _table({uid: rows[uid] for uid in sorted(rows)}, columns)


def _table(rows: dict[str, tuple[str, list[float | int | None]]], columns: Sequence[str]) -> Table:
    """uid -> reason and what stands in the columns, None where nothing does."""
    values = {column: [numbers[k] for _, numbers in rows.values()] for k, column in enumerate(columns)}
    hashes = values.pop(HASH, [None] * len(rows))
    scores = {
        column: np.array([math.nan if number is None else number for number in numbers], dtype=np.float64)
        for column, numbers in values.items()
    }
    reasons = [reason for reason, _ in rows.values()]
    bits = np.array([number or 0 for number in hashes], dtype=np.uint64)
    return Table(list(rows), reasons, scores, bits, np.array([number is not None for number in hashes], dtype=np.bool_))


def _number(column: str, text: str, reason: str) -> float | int | None:
    if not text and (reason or column in OPTIONAL):
        return None
    if column == HASH:
        if not HEX.fullmatch(text):
            raise ValueError(text)
        return int(text, 16)
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(text)
    return number
