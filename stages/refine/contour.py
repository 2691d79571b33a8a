"""The largest outer contour of a mask, and the three published statistics of its raggedness.

UCG's cleaner, to the bit: OpenCV's external contours, simplified along straight runs, so that the vertices
are the pixels where the boundary changes its direction.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]
Contour = NDArray[np.int32]


def largest_contour(mask: Mask) -> Contour:
    """(n, 2) int32 vertices (x, y) of the outer contour of the largest enclosed area; (0, 2) for no mask."""
    contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    if not contours:
        return np.zeros((0, 2), dtype=np.int32)
    return max(contours, key=cv2.contourArea).reshape(-1, 2).astype(np.int32)


def perimeter(contour: Contour) -> float:
    """Length of the closed contour in pixels; 0.0 for no vertex or one."""
    return float(cv2.arcLength(contour[:, None, :], closed=True)) if len(contour) else 0.0


def smoothness(mask: Mask, contour: Contour) -> float:
    """Perimeter of the mask over that of the mask after opening, then closing, with a 3 x 3 square.

    `contour` is the mask's largest. 0.0 when the mask is empty, and when the opening leaves nothing of it.
    """
    kernel = np.ones((3, 3), dtype=np.uint8)
    opened = cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_OPEN, kernel)
    smoothed = cv2.morphologyEx(opened, cv2.MORPH_CLOSE, kernel)
    length = perimeter(largest_contour(smoothed.astype(bool)))
    return perimeter(contour) / length if length else 0.0


def energy(contour: Contour) -> float:
    """Sum of |θ_{i+1} - θ_i|, θ_i the unsigned turning angle at vertex i, in radians.

    The turning angles go once round the contour, the differences do not close the round. 0.0 below three
    vertices.
    """
    if len(contour) < 3:
        return 0.0
    edges = np.roll(contour, -1, axis=0).astype(np.float64) - contour
    following = np.roll(edges, -1, axis=0)
    lengths = np.linalg.norm(edges, axis=1) * np.linalg.norm(following, axis=1)
    cosine = (edges * following).sum(axis=1) / lengths
    angles = np.arccos(np.clip(cosine, -1.0, 1.0))
    return float(np.abs(np.diff(angles)).sum())


def turning(contour: Contour) -> float:
    """The energy per vertex, in [0, π]: the same for a shape at any size and with any number of like teeth, where the
    energy itself grows with the size of the image. 0.0 below three vertices."""
    return energy(contour) / len(contour) if len(contour) >= 3 else 0.0


def circularity(mask: Mask, contour: Contour) -> float:
    """4πA / P²: A the area of the whole mask, P the perimeter of its largest contour. 0.0 when P is 0.

    As published, so above 1 when the mask has more than one part.
    """
    length = perimeter(contour)
    return float(4.0 * np.pi * np.count_nonzero(mask) / length**2) if length else 0.0
