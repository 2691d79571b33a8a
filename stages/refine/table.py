"""The score table: its columns, and how a value is written so that equal numbers are equal bytes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

COLUMNS = (
    "uid", "reason", "candidate", "predicted_iou", "stability", "agreement", "map_agreement", "seed_map_agreement",
    "area", "lower_half", "smoothness", "energy", "turning", "circularity", "components", "largest_share",
    "border_top", "border_bottom", "border_left", "border_right", "holes",
    "inside_attribution", "outside_attribution", "class_score", "class_margin", "entropy", "phash",
)  # fmt: skip


def cells(row: Mapping[str, Any]) -> list[str]:
    """One row of the table, in the order of COLUMNS.

    A float is the shortest text that reads back as the same float64, so that a threshold in the table decides
    as it would in memory. A score that was not measured, because the sample has a reason, is an empty cell.
    """
    return [cell(row[column]) if column in row else "" for column in COLUMNS]


def cell(value: str | int | float) -> str:
    return repr(float(value)) if isinstance(value, float) else str(value)
