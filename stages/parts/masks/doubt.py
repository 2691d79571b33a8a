"""The edge of a mask where the methods disagree: a ring that training may ignore, and a soft edge for blending."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from stages.parts.masks.contour import Mask


def ring(mask: Mask, width: int) -> Mask:
    """(H, W) bool: the pixels within `width` of the mask's edge, on both of its sides. None for width 0."""
    if width == 0:
        return np.zeros_like(mask)
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * width + 1, 2 * width + 1))
    pixels = mask.astype(np.uint8)
    return (cv2.dilate(pixels, disc) > 0) & (cv2.erode(pixels, disc) == 0)


def doubted(mask: Mask, opinions: Sequence[Mask], width: int) -> Mask:
    """(H, W) bool: the pixels of the ring on which not every opinion is that of the mask."""
    differs = np.zeros_like(mask)
    for opinion in opinions:
        differs |= opinion != mask
    return ring(mask, width) & differs


def alpha(mask: Mask, opinions: Sequence[Mask], width: int) -> NDArray[np.uint8]:
    """(H, W) uint8: 255 inside, 0 outside, in the ring the share of the mask and the opinions that see the object."""
    votes = np.mean([mask, *opinions], axis=0)
    return np.rint(255 * np.where(ring(mask, width), votes, mask)).astype(np.uint8)
