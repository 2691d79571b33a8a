"""The largest outer contour of a mask, the three published statistics of its raggedness, and one that is free of scale.

UCG's cleaner, to the bit: OpenCV's external contours, simplified along straight runs, so that the vertices
are the pixels where the boundary changes its direction.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]
Contour = NDArray[np.int32]

CANONICAL = 64  # the longer side, in pixels, at which `turning` looks at every mask


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


def turning(mask: Mask) -> float:
    """The energy per vertex of the mask's largest contour, in [0, π], at one size for all: the bounding box of its
    foreground, resized to a longer side of CANONICAL pixels.

    The energy itself grows with the pixels along the outline, and per vertex of the original mask it falls with them,
    for a larger picture has more vertices on what is nearly straight. 0.0 below three vertices and for an empty mask.
    """
    contour = largest_contour(canonical(mask))
    return energy(contour) / len(contour) if len(contour) >= 3 else 0.0


def canonical(mask: Mask) -> Mask:
    """The bounding box of the foreground, its longer side brought to CANONICAL pixels, with a margin of one pixel of
    background; an empty mask comes back as it is."""
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    if not rows.size:
        return mask
    box = mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].astype(np.float32)
    scale = CANONICAL / max(box.shape)
    height, width = (max(1, round(scale * side)) for side in box.shape)
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return np.pad(cv2.resize(box, (width, height), interpolation=way) >= 0.5, 1)


def circularity(mask: Mask, contour: Contour) -> float:
    """4πA / P²: A the area of the whole mask, P the perimeter of its largest contour. 0.0 when P is 0.

    As published, so above 1 when the mask has more than one part.
    """
    length = perimeter(contour)
    return float(4.0 * np.pi * np.count_nonzero(mask) / length**2) if length else 0.0
