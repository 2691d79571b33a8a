"""Features that need no weights: those that the published code was run on, and regions with a little noise."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


def published_fixture(channels: int, side: int) -> Tensor:
    """Three regions and a wave: (C, h, h) float32. A is of 16 channels and side 12, B of 24 and 10."""
    c = np.arange(1, channels + 1)[:, None, None]
    i, j = np.arange(side)[None, :, None], np.arange(side)[None, None]
    base = np.where(i < side // 2, np.sin(0.7 * c), np.cos(1.3 * c)) + 0.0 * j
    square = (i >= 1) & (i < 4) & (j >= 1) & (j < 4)
    base = base + np.where(square, np.sin(2.1 * c + 1) - np.sin(0.7 * c), 0.0)
    wave = 0.2 * np.sin(0.37 * c * (i + 1) + 0.53 * c**2 * (j + 1))
    return torch.from_numpy((base + wave).astype(np.float32))


def published_image(side: int) -> NDArray[np.uint8]:
    """Three waves, one for each colour: (side, side, 3) uint8."""
    y, x = np.mgrid[:side, :side]
    waves = [0.5 + 0.4 * np.sin(0.05 * (channel + 1) * y + 0.08 * x) for channel in range(3)]
    return (255 * np.stack(waves, axis=2)).astype(np.uint8)


def regions(seed: int, size: tuple[int, int] = (12, 20), channels: int = 16, count: int = 5) -> Tensor:
    """A Voronoi picture whose cells look like the centre of their region, (1, C, h, w), and a little like themselves:
    no two cells are equal."""
    rng = np.random.default_rng(seed)
    places = rng.uniform(0, 1, (count, 2)) * size
    rows, columns = np.mgrid[: size[0], : size[1]]
    nearest = ((rows[..., None] - places[:, 0]) ** 2 + (columns[..., None] - places[:, 1]) ** 2).argmin(2)
    centres = rng.standard_normal((count, channels))
    found = centres[nearest] + 0.3 * rng.standard_normal((*size, channels))
    return torch.from_numpy(found.transpose(2, 0, 1).astype(np.float32))[None]
