"""Boundary IoU (Cheng et al. 2021): IoU of the pixels within a distance of the outline, a class at a time."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from stages.evaluate.confusion import Matrix, means
from stages.labels import IGNORE

Labels = NDArray[np.uint8]

DISTANCE = 0.02  # of the image's diagonal, as published


def boundary_areas(truth: Labels, prediction: Labels, num_classes: int) -> NDArray[np.int64]:
    """(2, C) int64: per class the intersection and the union of the two boundary regions, in pixels.

    Both maps (H, W) uint8 train ids; truth 255 = ignored: such pixels belong to no class in either map, so
    that an object which touches them has the same outline in both. A class's boundary region is what an
    erosion by d = max(1, round(0.02 * diagonal)) pixels takes away; the image's border counts as outline.
    Areas of several images add up before they are divided. Zeros where a class is in neither map.
    """
    prediction = np.where(truth == IGNORE, np.uint8(IGNORE), prediction)
    areas = np.zeros((2, num_classes), dtype=np.int64)
    for class_id in np.union1d(truth, prediction):
        if class_id < num_classes:
            ours, theirs = boundary(truth == class_id), boundary(prediction == class_id)
            areas[:, class_id] = np.count_nonzero(ours & theirs), np.count_nonzero(ours | theirs)
    return areas


def boundary(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """(H, W) bool -> the pixels of the mask within d of a pixel outside of it, or of the border."""
    reach = max(1, round(DISTANCE * float(np.hypot(*mask.shape))))
    kernel = np.ones((2 * reach + 1, 2 * reach + 1), dtype=np.uint8)
    inside = cv2.erode(mask.astype(np.uint8), kernel, borderType=cv2.BORDER_CONSTANT, borderValue=0)
    return mask & (inside == 0)


def boundary_scores(
    areas: NDArray[np.int64], matrix: Matrix, names: Sequence[str], novel: Collection[str]
) -> dict[str, Any]:
    """Boundary IoU in percent of each class that occurs in the truth, and the means of confusion.means."""
    present = {name: k for k, name in enumerate(names) if matrix[k].any()}
    exact = {name: 100 * float(areas[0, k] / areas[1, k]) for name, k in present.items()}
    shown = {name: round(exact[name], 4) if name in exact else None for name in names}
    return {"boundary_IoU": shown} | means(exact, novel, "boundary_IoU")
