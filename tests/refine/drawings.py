"""A block on noise: image, map and seed of an object that every method should find; and snap switched off."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.refine.methods import Drawn

OFF: dict[str, Any] = {
    "iterations": 0, "bilateral_weight": 3.0, "bilateral_xy": 5.0, "bilateral_rgb": 13.0,
    "gaussian_weight": 1.0, "gaussian_xy": 1.0,
}  # fmt: skip


def block(top: int, bottom: int, left: int, right: int, side: int = 64) -> NDArray[np.bool_]:
    mask = np.zeros((side, side), bool)
    mask[top:bottom, left:right] = True
    return mask


def drawn(seed: int, mask: NDArray[np.bool_] | None = None) -> Drawn:
    image = np.random.default_rng(seed).integers(0, 60, (64, 64, 3)).astype(np.uint8)
    mask = block(20, 44, 12, 50) if mask is None else mask
    image[mask] += 150
    return Drawn(image, mask.astype(np.float32), mask)
