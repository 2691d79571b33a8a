"""Seed mask -> foreground points for SAM: one function per mode; params `refine.points` names one."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]

# UCG's half arms, in pixels of its 512 x 512 images; as shares of the image they mean the same at any size.
ARM_X = 50 / 512
ARM_Y = 25 / 512


def cross(seed: NDArray[np.bool_]) -> Points:
    """UCG's cross: the centre of the bounding box of all foreground, and the ends of four arms.

    seed: (H, W) bool, not empty. Returns (5, 2) float64 in (x, y) order, x = column, in the order centre,
    below, right, above, left; clipped to the image, [0, W-1] x [0, H-1]. The centre is that of the box, not
    of the mass, and may lie on a half pixel or beside the object. Raises ValueError for an empty seed.
    """
    height, width = seed.shape
    rows, columns = np.nonzero(seed)
    if rows.size == 0:
        raise ValueError("an empty seed has no bounding box")
    x, y = (columns.min() + columns.max()) / 2, (rows.min() + rows.max()) / 2
    arm_x, arm_y = ARM_X * width, ARM_Y * height
    points = np.array([(x, y), (x, y + arm_y), (x + arm_x, y), (x, y - arm_y), (x - arm_x, y)], dtype=np.float64)
    return np.clip(points, 0.0, (width - 1.0, height - 1.0))


MODES: dict[str, Callable[[NDArray[np.bool_]], Points]] = {"cross": cross}
