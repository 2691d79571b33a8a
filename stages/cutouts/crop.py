"""Image + mask -> an RGBA cutout, tight to the mask."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def cutout(image: NDArray[np.uint8], mask: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """(h, w, 4) uint8 RGBA, the mask's bounding box: alpha 255 on the mask; alpha and colour 0 elsewhere.

    image: (H, W, 3) uint8 RGB; mask: (H, W) bool, not empty. Raises ValueError for an empty mask.
    """
    return tight(masked(image, mask), mask)


def doubtful(
    image: NDArray[np.uint8], mask: NDArray[np.bool_], doubt: NDArray[np.uint8]
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """The RGBA, and doubt (0 or 255) beside it, (h, w) uint8, both tight to mask and doubt together. ValueError as
    above."""
    either = mask | (doubt > 0) if mask.any() else mask
    return tight(masked(image, mask), either), tight(doubt, either)


def masked(image: NDArray[np.uint8], mask: NDArray[np.bool_]) -> NDArray[np.uint8]:
    rgba = np.dstack([image, np.full(mask.shape, 255, dtype=np.uint8)])
    rgba[~mask] = 0
    return rgba


def tight(picture: NDArray[np.uint8], mask: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """The mask's bounding box of a picture of its size."""
    rows, columns = np.nonzero(mask)
    if rows.size == 0:
        raise ValueError("an empty mask has no cutout")
    return picture[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
