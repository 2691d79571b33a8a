"""A perceptual hash: images that look alike have hashes that differ in few bits.

The common 64-bit DCT hash: grey, 32 x 32, the 8 x 8 lowest frequencies, each above their median or not. Its first
bit, the mean brightness, is nearly always 1.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

SIDE, LOW = 32, 8


def phash(image: NDArray[np.uint8]) -> str:
    """(H, W, 3) uint8 RGB -> 16 hex digits; the first bit is the lowest frequency, rows one by one."""
    grey = cv2.resize(
        cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32), (SIDE, SIDE), interpolation=cv2.INTER_AREA
    )
    low = cv2.dct(grey)[:LOW, :LOW].reshape(-1)
    return np.packbits(low > np.median(low)).tobytes().hex()
