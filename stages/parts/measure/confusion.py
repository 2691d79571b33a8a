"""From label maps to a confusion matrix, from the matrix to IoU."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from stages.parts.datasets.labels import CITYSCAPES, IGNORE
from stages.parts.sections import Absent

Matrix = NDArray[np.int64]

# The classes that SYNTHIA has of Cityscapes' 19, and those of them that are no thin or rare background.
SYNTHIA_16 = tuple(name for name in CITYSCAPES.names if name not in ("terrain", "truck", "train"))
SYNTHIA_13 = tuple(name for name in SYNTHIA_16 if name not in ("wall", "fence", "pole"))
VEHICLES = ("car", "truck", "bus", "train")


def confusion(truth: Tensor, prediction: Tensor, num_classes: int) -> Tensor:
    """Pixel counts (C, C) int64 on the maps' device: rows are the truth, columns the prediction.

    Both maps hold train ids in 0..255 of any integer type and equal shape, C <= 255. Pixels whose truth is
    255 count nowhere. Counts of parts add up to those of the whole. Raises ValueError for maps of two shapes,
    for a truth id outside of 0..C-1 and 255, for a predicted id outside of 0..C-1 where the truth is known.
    """
    if truth.shape != prediction.shape:
        raise ValueError(f"the label is {tuple(truth.shape)}, the prediction {tuple(prediction.shape)}")
    # All 256 x 256 pairs in one pass: whatever is out of range has a row or a column of its own.
    codes = torch.add(prediction.int(), truth.int(), alpha=256)
    pairs = torch.bincount(codes.flatten(), minlength=256 * 256).view(256, 256)
    pairs[IGNORE] = 0
    for counts, name in ((pairs.sum(1), "label"), (pairs.sum(0), "prediction")):
        if counts[num_classes:].any():
            alien = num_classes + int(counts[num_classes:].nonzero()[0])
            raise ValueError(f"the {name} holds the id {alien}; the classes are 0 to {num_classes - 1}")
    return pairs[:num_classes, :num_classes]


def scores(matrix: Matrix, names: Sequence[str], novel: Collection[str], absent: Absent = "skip") -> dict[str, Any]:
    """IoU and accuracy of each class in percent, and their means; see `means` for which.

    A class that never occurs in the truth is None and in no mean. That is "skip": the stray pixels that are
    predicted as it count against their true classes alone. With "mmseg", as mmseg's IoUMetric has it, such a
    class is 0 as soon as one pixel is predicted as it, and moves the mean by points.
    """
    hits, truth, predicted = np.diag(matrix), matrix.sum(axis=1), matrix.sum(axis=0)
    union = truth + predicted - hits
    counted = truth if absent == "skip" else union
    iou = {name: _rounded(100 * hits[k] / union[k]) if counted[k] else None for k, name in enumerate(names)}
    accuracy = {name: _rounded(100 * hits[k] / truth[k]) if truth[k] else None for k, name in enumerate(names)}
    exact = {name: 100 * hits[k] / union[k] for k, name in enumerate(names) if counted[k]}
    return {
        "IoU": iou,
        "accuracy": accuracy,
        **means(exact, novel),
        "pixel_accuracy": _rounded(100 * hits.sum() / truth.sum()) if truth.any() else None,
        "vehicles": among(matrix, names, VEHICLES),
    }


def means(values: dict[str, float], novel: Collection[str], kind: str = "IoU") -> dict[str, float | None]:
    """Means over the classes of `values`: all, base, novel, Cityscapes' 19, SYNTHIA's 16 and 13.

    A group of which no class is in `values` has the mean None. The published SYNTHIA numbers with 19
    classes in the denominator are 16/19 of those with 16, for its three missing classes score 0.
    """
    groups = {
        f"m{kind}": list(values),
        f"base_m{kind}": [name for name in values if name not in novel],
        f"novel_m{kind}": [name for name in values if name in novel],
        f"m{kind}_19": [name for name in values if name in CITYSCAPES.names],
        f"m{kind}_16": [name for name in values if name in SYNTHIA_16],
        f"m{kind}_13": [name for name in values if name in SYNTHIA_13],
    }
    return {
        group: _rounded(float(np.mean([values[name] for name in members]))) if members else None
        for group, members in groups.items()
    }


def among(matrix: Matrix, names: Sequence[str], few: Sequence[str]) -> dict[str, dict[str, float]]:
    """{true class: {predicted class: percent of the true class's pixels}} for the few classes, and "other".

    A class that never occurs in the truth has no row; a name that the matrix lacks is left out.
    """
    ids = [names.index(name) for name in few if name in names]
    table = {}
    for k in ids:
        if total := int(matrix[k].sum()):
            row = {names[j]: _rounded(100 * matrix[k, j] / total) for j in ids}
            table[names[k]] = row | {"other": _rounded(100 * (total - matrix[k, ids].sum()) / total)}
    return table


def _rounded(value: float) -> float:
    return round(float(value), 4)
