"""Attribution map -> seed mask -> points for SAM.

The map is normalised by its maximum and cut at a threshold, as in UCG, whose binarisation is OVAM's. Points are in
pixels, (n, 2) float64 in (x, y) order, x = column, inside of the image.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]
Seed = NDArray[np.bool_]

# UCG's half arms, in pixels of its 512 x 512 images; as shares of the image they mean the same at any size.
ARM_X = 50 / 512
ARM_Y = 25 / 512
INSIDE = 5  # as many as the cross has
MARGIN = 1 / 16  # how far from the seed a background point stays, as a share of the image's shorter side


def normalise(attribution: NDArray[np.float32]) -> NDArray[np.float32]:
    """A / max A, (H, W) float32 in [0, 1]: by the maximum, not min-max, so that a flat map stays flat.

    Negative values become 0. A map without a positive finite maximum becomes all 0: it points nowhere.
    """
    peak = float(np.max(attribution))
    if not (np.isfinite(peak) and peak > 0.0):
        return np.zeros(attribution.shape, dtype=np.float32)
    return np.maximum(attribution / np.float32(peak), 0.0).astype(np.float32)


def hard_seed(attribution: NDArray[np.float32], threshold: float) -> NDArray[np.bool_]:
    """(H, W) bool: normalised attribution strictly above the threshold; empty if the map points nowhere."""
    return normalise(attribution) > threshold


def sigmoid(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """1 / (1 + exp(-x)), without overflow."""
    return (0.5 * (1.0 + np.tanh(0.5 * logits))).astype(np.float32)


def cross(seed: Seed) -> Points:
    """UCG's cross: the centre of the bounding box of all foreground, and the ends of four arms.

    seed: (H, W) bool, not empty. Returns (5, 2) float64 in (x, y) order, x = column, in the order centre,
    below, right, above, left; clipped to the image, [0, W-1] x [0, H-1]. The centre is that of the box, not
    of the mass, and may lie on a half pixel or beside the object. Raises ValueError for an empty seed.
    """
    height, width = seed.shape
    left, top, right, bottom = box(seed)
    x, y = (left + right) / 2, (top + bottom) / 2
    arm_x, arm_y = ARM_X * width, ARM_Y * height
    points = np.array([(x, y), (x, y + arm_y), (x + arm_x, y), (x, y - arm_y), (x - arm_x, y)], dtype=np.float64)
    return np.clip(points, 0.0, (width - 1.0, height - 1.0))


def box(seed: Seed) -> NDArray[np.float64]:
    """(4,) left, top, right, bottom: the outermost pixels of all foreground. ValueError for an empty seed."""
    rows, columns = np.nonzero(seed)
    if rows.size == 0:
        raise ValueError("an empty seed has no bounding box")
    return np.array([columns.min(), rows.min(), columns.max(), rows.max()], dtype=np.float64)


def inside(seed: Seed, count: int = INSIDE) -> Points:
    """At most `count` pixels of the seed, deep inside of it and far from one another.

    The first is the maximum of the distance transform; each next one the maximum of the smaller of two
    distances, to the seed's outside (the image's frame is outside) and to the points so far. A point of an
    object that fills the image's corner is thus not on its rim. Ties: the first in reading order. ValueError for
    an empty seed.
    """
    if not seed.any():
        raise ValueError("an empty seed has no inside")
    return _spread(np.pad(seed, 1), count) - 1.0


def outside(seed: Seed, count: int) -> Points:
    """At most `count` background pixels, chosen as `inside` chooses, none within MARGIN of the seed.

    (0, 2) when no pixel is that far away. Here the image's frame is no rim: a corner is a good place."""
    margin = max(1, round(MARGIN * min(seed.shape)))
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * margin + 1, 2 * margin + 1))
    return _spread(cv2.dilate(seed.astype(np.uint8), disc) == 0, count)


def _spread(region: Seed, count: int) -> Points:
    """Up to `count` pixels of the region, deepest first, then those as deep as they are far from the others."""
    depth = cv2.distanceTransform(region.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    if region.all():
        depth = np.full(region.shape, np.hypot(*region.shape), dtype=np.float32)  # no rim at all
    rows, columns = np.indices(region.shape)
    points: list[tuple[int, int]] = []
    while len(points) < count and depth.max() > 0:
        y, x = np.unravel_index(int(depth.argmax()), region.shape)
        points.append((int(x), int(y)))
        depth = np.minimum(depth, np.hypot(rows - y, columns - x))
    return np.array(points, dtype=np.float64).reshape(-1, 2)
