"""Attribution map -> seed mask: normalise by the maximum, threshold. As in UCG, whose binarisation is OVAM's."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def normalise(attribution: NDArray[np.float32]) -> NDArray[np.float32]:
    """A / max A, (H, W) float32 in [0, 1]: by the maximum, not min-max, so that a flat map stays flat.

    Negative values become 0. A map without a positive finite maximum becomes all 0: it points nowhere.
    """
    peak = float(np.max(attribution))
    if not (np.isfinite(peak) and peak > 0.0):
        return np.zeros(attribution.shape, dtype=np.float32)
    return np.maximum(attribution / np.float32(peak), 0.0).astype(np.float32)


def hard_seed(attribution: NDArray[np.float32], threshold: float) -> NDArray[np.bool_]:
    """(H, W) bool: normalised attribution strictly above the threshold; empty if the map points nowhere."""
    return normalise(attribution) > threshold


def sigmoid(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """1 / (1 + exp(-x)), without overflow."""
    return (0.5 * (1.0 + np.tanh(0.5 * logits))).astype(np.float32)
