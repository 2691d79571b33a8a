"""A word's map carried along the image's own likeness, and binarised with a band of doubt: Dataset Diffusion.

Nguyen et al., "Dataset Diffusion: Diffusion-based Synthetic Dataset Generation for Pixel-Level Semantic
Segmentation", NeurIPS 2023, section 3.3: with the self-attention S and the cross-attention C of a class,
m = S^τ C, min-max normalised, enlarged, and thresholded twice.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from stages.parts.datasets.labels import IGNORE

FLAT = 1e-6  # contrast relative to the maximum below which there is nothing but rounding


def spread(
    own: NDArray[np.float32], cross: NDArray[np.float32], shape: tuple[int, ...], power: int
) -> NDArray[np.float64]:
    """m_k = S^τ c_k per class k, min-max normalised to [0, 1].

    own: S (h*w, h*w), row-stochastic, row = query, of an image of `shape` = (H, W); cross: C (classes, h', w'),
    enlarged to (h, w) by bicubic interpolation; power: τ >= 0. Returns (classes, h, w) float64, whatever the scale of S
    or C. A map without contrast becomes all 0: it points nowhere. ValueError when h*w fits no image of this shape.
    """
    size = grid(len(own), shape)
    same = [cv2.resize(one.astype(np.float64), size[::-1], interpolation=cv2.INTER_CUBIC) for one in cross]
    maps = np.linalg.matrix_power(own.astype(np.float64), power) @ np.stack(same).reshape(len(same), -1).T
    flat = FLAT * np.abs(maps).max(axis=0)[:, None]
    maps = maps.T - maps.min(axis=0)[:, None]
    peaks = maps.max(axis=1, keepdims=True)
    return np.divide(maps, peaks, out=np.zeros_like(maps), where=peaks > flat).reshape(-1, *size)


def labels(maps: NDArray[np.float64], shape: tuple[int, ...], threshold: float, uncertain: float) -> NDArray[np.uint8]:
    """(classes, h, w) maps -> (H, W) = `shape` uint8 labels: 0 background, k + 1 class k.

    With v the largest value over the classes, after bicubic enlargement: v >= threshold is that class (the first
    of equals), uncertain <= v < threshold is IGNORE (255), and the rest is background. ValueError for more than
    254 classes.
    """
    if len(maps) >= IGNORE:
        raise ValueError(f"{len(maps)} classes do not fit into a uint8 label beside {IGNORE}")
    large = [cv2.resize(one, (shape[1], shape[0]), interpolation=cv2.INTER_CUBIC) for one in maps]
    value, best = np.max(large, axis=0), np.argmax(large, axis=0)
    label = np.where(value >= threshold, best + 1, np.where(value >= uncertain, IGNORE, 0))
    return label.astype(np.uint8)


def grid(cells: int, shape: tuple[int, ...]) -> tuple[int, int]:
    """(h, w) with h * w = cells whose proportions are nearest to those of an (H, W) image.

    A UNet rounds up whatever it halves, so h and w are those of the image within a cell: 360 x 640 gives 23 x 40.
    ValueError when no pair is that near."""
    pairs = [(height, cells // height) for height in range(1, cells + 1) if cells % height == 0]
    height, width = min(pairs, key=lambda pair: abs(math.log(pair[0] * shape[1] / (pair[1] * shape[0]))))
    if abs(height * shape[1] - width * shape[0]) >= max(shape):
        raise ValueError(f"{cells} cells of self-attention are no scale of an image of {shape[0]} x {shape[1]}")
    return height, width
