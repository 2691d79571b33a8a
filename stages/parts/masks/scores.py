"""Every score of one mask that a cleaner may want: measured once, while the mask is in memory.

All of them are finite for every mask, the empty and the full one too.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from stages.parts.masks.contour import Mask, circularity, energy, largest_contour, smoothness, turning

Score = float | int
HASHED, LOWEST = 32, 8  # of phash: the side of the picture, and of the square of frequencies


def shape(mask: Mask) -> dict[str, Score]:
    """Scores of the mask alone. Shares are of the image's area for `area`, of the mask's area for the others.

    area, lower_half, smoothness and energy are UCG's four; circularity is computed there but not used.
    """
    contour = largest_contour(mask)
    return {
        "area": float(np.mean(mask, dtype=np.float64)),
        "lower_half": lower_half(mask),
        "smoothness": smoothness(mask, contour),
        "energy": energy(contour),
        "turning": turning(mask),
        "circularity": circularity(mask, contour),
        **parts(mask),
        **border(mask),
        "holes": holes(mask),
    }


def lower_half(mask: Mask) -> float:
    """Share of the mask in the rows from H // 2 down; 0.0 for an empty mask."""
    total = np.count_nonzero(mask)
    return float(np.count_nonzero(mask[mask.shape[0] // 2 :]) / total) if total else 0.0


def parts(mask: Mask) -> dict[str, Score]:
    """components: number of 8-connected parts; largest_share: of the mask, in the largest (empty: 0.0)."""
    count, _, statistics, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    areas = statistics[1:, cv2.CC_STAT_AREA]
    return {"components": count - 1, "largest_share": float(areas.max() / areas.sum()) if count > 1 else 0.0}


def border(mask: Mask) -> dict[str, Score]:
    """Share of each side of the image that the mask touches, in [0, 1]."""
    sides = {"top": mask[0], "bottom": mask[-1], "left": mask[:, 0], "right": mask[:, -1]}
    return {f"border_{side}": float(np.mean(pixels, dtype=np.float64)) for side, pixels in sides.items()}


def holes(mask: Mask) -> int:
    """Number of 4-connected background parts that the mask encloses: that reach no side of the image."""
    count, labels = cv2.connectedComponents((~mask).astype(np.uint8), connectivity=4)
    outside = np.unique(np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]]))
    return int(count - 1 - np.count_nonzero(outside))


def stability(logits: NDArray[np.float32]) -> float:
    """IoU of the mask at logit > +1 with that at logit > -1, as SAM measures it at image size.

    The first lies within the second, so their counts are intersection and union. 0.0 when both are empty.
    """
    union = np.count_nonzero(logits > -1.0)
    return float(np.count_nonzero(logits > 1.0) / union) if union else 0.0


def agreement(mask: Mask, seed: Mask) -> float:
    """IoU of the mask with the CRF's seed; 0.0 when both are empty."""
    union = np.count_nonzero(mask | seed)
    return float(np.count_nonzero(mask & seed) / union) if union else 0.0


def attribution(mask: Mask, normalised: NDArray[np.float32]) -> dict[str, Score]:
    """Mean of the normalised attribution map inside and outside of the mask; 0.0 where there is no pixel."""
    inside, outside = normalised[mask].astype(np.float64), normalised[~mask].astype(np.float64)
    return {
        "inside_attribution": float(inside.mean()) if inside.size else 0.0,
        "outside_attribution": float(outside.mean()) if outside.size else 0.0,
    }


def phash(image: NDArray[np.uint8]) -> str:
    """The common 64-bit DCT hash: images that look alike have hashes that differ in few bits.

    (H, W, 3) uint8 RGB -> 16 hex digits: grey, 32 x 32, the 8 x 8 lowest frequencies, rows one by one, each above their
    median or not. The first bit, the mean brightness, is nearly always 1."""
    grey = cv2.resize(
        cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32), (HASHED, HASHED), interpolation=cv2.INTER_AREA
    )
    low = cv2.dct(grey)[:LOWEST, :LOWEST].reshape(-1)
    return np.packbits(low > np.median(low)).tobytes().hex()
