"""The control `blobs`: what is left of the gain when the mask says nothing about the object but its size?"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# Harmonics of the outline, and how far they may push it from a circle; below 1, or it would meet itself.
HARMONICS = (2, 3, 4)
RAGGEDNESS = 0.5


def blob(shape: tuple[int, int], area: int, generator: np.random.Generator) -> NDArray[np.bool_]:
    """A random smooth blob of exactly `area` pixels: (H, W) bool, star-shaped about its centre.

    The pixels are taken in the order of their distance from the centre relative to the outline's in their
    direction, so a blob that meets the border of the image grows elsewhere. ValueError unless
    0 <= area <= H*W.
    """
    height, width = shape
    if not 0 <= area <= height * width:
        raise ValueError(f"a blob of {area} pixels does not fit {height} x {width}")
    y0, x0 = (_centre(side, area, generator) for side in shape)
    y, x = np.mgrid[:height, :width]
    y, x = y - y0, x - x0
    reach = np.hypot(y, x) / _outline(np.arctan2(y, x), generator)
    result = np.zeros(height * width, dtype=np.bool_)
    result[np.argsort(reach.ravel(), kind="stable")[:area]] = True
    return result.reshape(shape)


def _centre(side: int, area: int, generator: np.random.Generator) -> float:
    """Uniform where a disc of that area lies within the image, in the middle when none does."""
    margin = min(np.sqrt(area / np.pi), (side - 1) / 2)
    return float(generator.uniform(margin, side - 1 - margin))


def _outline(angle: NDArray[np.float64], generator: np.random.Generator) -> NDArray[np.float64]:
    """Relative radius per direction: 1 + a sum of low harmonics of random amplitude and phase, positive."""
    amplitudes = generator.uniform(-1.0, 1.0, len(HARMONICS)) * RAGGEDNESS / len(HARMONICS)
    phases = generator.uniform(0.0, 2 * np.pi, len(HARMONICS))
    waves = [a * np.cos(k * angle + p) for k, a, p in zip(HARMONICS, amplitudes, phases, strict=True)]
    return 1.0 + np.sum(waves, axis=0)
