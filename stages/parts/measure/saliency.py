"""How well a saliency map tells objects from the rest: the largest F measure and the mean absolute error.

Achanta et al. 2009 (beta^2 = 0.3); the largest mean F over thresholds is what U2-Net and BASNet report as max F.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from stages.parts.datasets.labels import IGNORE

BETA2 = 0.3
LEVELS = 255


def max_f(maps: Sequence[NDArray[np.float32]], labels: Sequence[NDArray[np.uint8]]) -> float:
    """The mean over pictures of the F measure, at the threshold of 255 where that mean is largest.

    maps: (H, W) float32 in [0, 1]; labels: (H, W) uint8, 0 = background, 255 = ignored, anything else salient. 0 for
    a picture without a salient pixel that a threshold would hit."""
    curves = [_f_by_threshold(found, label) for found, label in zip(maps, labels, strict=True)]
    return float(np.mean(curves, axis=0).max())


def _f_by_threshold(found: NDArray[np.float32], label: NDArray[np.uint8]) -> NDArray[np.float64]:
    """(LEVELS,) F at thresholds 1 / 255, 2 / 255, ..., 1: a pixel is salient from the threshold on."""
    known = label != IGNORE
    level = np.clip(np.floor(found[known] * LEVELS), 0, LEVELS).astype(np.int64)
    salient = label[known] > 0
    hits = np.bincount(level[salient], minlength=LEVELS + 1)[::-1].cumsum()[::-1][1:]
    taken = np.bincount(level, minlength=LEVELS + 1)[::-1].cumsum()[::-1][1:]
    precision, recall = hits / np.maximum(taken, 1), hits / max(int(salient.sum()), 1)
    return (1 + BETA2) * precision * recall / np.maximum(BETA2 * precision + recall, 1e-12)


def mean_absolute_error(maps: Sequence[NDArray[np.float32]], labels: Sequence[NDArray[np.uint8]]) -> float:
    """Mean over pictures of the mean distance of the map from the truth (0 or 1), ignored pixels left out."""
    errors = []
    for found, label in zip(maps, labels, strict=True):
        known = label != IGNORE
        errors.append(np.abs(found[known] - (label[known] > 0)).mean())
    return float(np.mean(errors))
