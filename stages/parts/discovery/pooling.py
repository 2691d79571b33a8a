"""One feature for a region: masked pooling of a picture's map [2.3.4], or the map of the region alone.

The published way enlarges the map to the picture, sums it over the mask and normalises: 2 GiB for one picture at 512
pixels. Enlarging is linear, so the sum over the mask of the enlarged map is the sum of the small map weighted by the
adjoint of the enlarging, applied to the mask: the same number, without the large map.
"""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

GREY = 127  # what stands around a region that is looked at alone


@cache
def bilinear(large: int, small: int) -> NDArray[np.float64]:
    """(large, small): the matrix of bilinear interpolation along one axis, align_corners False."""
    place = np.clip((np.arange(large) + 0.5) * small / large - 0.5, 0, small - 1)
    low = np.minimum(np.floor(place).astype(int), small - 1)
    high = np.minimum(low + 1, small - 1)
    matrix = np.zeros((large, small))
    np.add.at(matrix, (np.arange(large), low), 1 - (place - low))
    np.add.at(matrix, (np.arange(large), high), place - low)
    return matrix


def adjoint(mask: NDArray, size: tuple[int, int]) -> NDArray[np.float64]:
    """(H, W) weights of pixels -> (h, w) weights of cells: what each cell adds to a sum over the enlarged map."""
    return bilinear(mask.shape[0], size[0]).T @ mask.astype(np.float64) @ bilinear(mask.shape[1], size[1])


def pooled(features: NDArray[np.floating], mask: NDArray[np.bool_]) -> NDArray[np.float32]:
    """(C,) float32 of unit length: the map (C, h, w), enlarged to the (H, W) mask, summed over it, normalised. Zeros
    for an empty mask."""
    weights = adjoint(mask, features.shape[1:3]).astype(features.dtype)
    return unit(features.reshape(len(features), -1) @ weights.ravel())


def unit(vector: NDArray) -> NDArray[np.float32]:
    """Along the last axis of unit length, float32; zeros stay zeros."""
    length = np.linalg.norm(vector, axis=-1, keepdims=True)
    return np.divide(vector, length, out=np.zeros_like(vector, dtype=np.float64), where=length > 0).astype(np.float32)


def isolated(image: NDArray[np.uint8], mask: NDArray[np.bool_], side: int, margin: float = 0.1) -> NDArray[np.uint8]:
    """(side, side, 3) uint8: the region of the (H, W, 3) image alone on grey, in its proportions, filling the picture
    but for a margin on every side (a share of `side`). Grey alone for an empty mask."""
    canvas = np.full((side, side, 3), GREY, np.uint8)
    if not mask.any():
        return canvas
    rows, cols = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    box = slice(rows[0], rows[-1] + 1), slice(cols[0], cols[-1] + 1)
    cut = np.where(mask[box][..., None], image[box], np.uint8(GREY))
    room = side * (1 - 2 * margin)
    scale = room / max(cut.shape[:2])
    height, width = (max(1, round(part * scale)) for part in cut.shape[:2])
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    top, left = (side - height) // 2, (side - width) // 2
    canvas[top : top + height, left : left + width] = cv2.resize(cut, (width, height), interpolation=way)
    return canvas
