"""From label maps to a confusion matrix, from the matrix to IoU."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.labels import IGNORE

Labels = NDArray[np.uint8]
Matrix = NDArray[np.int64]


def confusion(truth: Labels, prediction: Labels, num_classes: int) -> Matrix:
    """Pixel counts (C, C): rows are the truth, columns the prediction.

    Both maps (H, W) uint8 train ids. Pixels whose truth is 255 count nowhere. Raises ValueError for
    maps of two shapes, for a truth id outside of 0..C-1 and 255, for a predicted id outside of 0..C-1.
    """
    if truth.shape != prediction.shape:
        raise ValueError(f"the label is {truth.shape}, the prediction {prediction.shape}")
    known = truth != IGNORE
    rows, columns = truth[known].astype(np.int64), prediction[known].astype(np.int64)
    for ids, name in ((rows, "label"), (columns, "prediction")):
        if ids.size and ids.max() >= num_classes:
            raise ValueError(f"the {name} holds the id {ids.max()}; the classes are 0 to {num_classes - 1}")
    return np.bincount(rows * num_classes + columns, minlength=num_classes**2).reshape(num_classes, -1)


def scores(matrix: Matrix, names: Sequence[str], novel: Collection[str]) -> dict[str, Any]:
    """IoU and accuracy of each class in percent, their means over all, base and novel classes.

    A class counts if and only if it occurs in the truth; else it is None, and no mean sees it. (mmseg's
    IoUMetric leaves out an absent class until one stray pixel is predicted as it, then counts it as 0: a
    single pixel would move the mean by points.) The stray pixel still counts against its true class. The
    mean of no class is None.
    """
    hits, truth, predicted = np.diag(matrix), matrix.sum(axis=1), matrix.sum(axis=0)
    present = [k for k in range(len(names)) if truth[k]]
    iou = {names[k]: 100 * hits[k] / (truth[k] + predicted[k] - hits[k]) for k in present}
    accuracy = {names[k]: 100 * hits[k] / truth[k] for k in present}
    return {
        "IoU": {name: _rounded(iou.get(name)) for name in names},
        "accuracy": {name: _rounded(accuracy.get(name)) for name in names},
        "mIoU": _mean(list(iou.values())),
        "base_mIoU": _mean([iou[name] for name in iou if name not in novel]),
        "novel_mIoU": _mean([iou[name] for name in iou if name in novel]),
        "pixel_accuracy": _rounded(100 * hits.sum() / truth.sum()) if present else None,
    }


def _mean(values: list[float]) -> float | None:
    return _rounded(float(np.mean(values))) if values else None


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(float(value), 4)
