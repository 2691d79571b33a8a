"""Image + mask -> an RGBA cutout, tight to the mask."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray


def framed(
    image: NDArray[np.uint8], mask: NDArray[np.bool_], edge: Mapping[str, NDArray[np.uint8]]
) -> tuple[NDArray[np.uint8], dict[str, NDArray[np.uint8]]]:
    """The RGBA, (h, w, 4) uint8, and beside it the pictures of its edge, (h, w) uint8 each, tight to the mask and to
    all of them together. The RGBA's alpha is 255 on the mask; alpha and colour are 0 elsewhere.

    image: (H, W, 3) uint8 RGB; mask: (H, W) bool, not empty; edge: refine's `doubt` (0 or 255) and `alpha` (0 to 255),
    (H, W) uint8, both or none. Where `alpha` is above 0 the RGBA keeps the image's colour, for blending. Raises
    ValueError for an empty mask.
    """
    coloured = mask | (edge["alpha"] > 0) if "alpha" in edge else mask
    rgba = np.dstack([np.where(coloured[..., None], image, np.uint8(0)), np.where(mask, np.uint8(255), np.uint8(0))])
    frame = np.logical_or.reduce([mask, *(picture > 0 for picture in edge.values())]) if mask.any() else mask
    return tight(rgba, frame), {name: tight(picture, frame) for name, picture in edge.items()}


def tight(picture: NDArray[np.uint8], mask: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """The mask's bounding box of a picture of its size."""
    rows, columns = np.nonzero(mask)
    if rows.size == 0:
        raise ValueError("an empty mask has no cutout")
    return picture[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
