"""Attribution map -> seed mask: normalise by the maximum, threshold, snap to the image's edges by a CRF.

As in UCG, whose binarisation is OVAM's. The CRF is that of Krähenbühl & Koltun, "Efficient
Inference in Fully Connected CRFs with Gaussian Edge Potentials", NIPS 2011, with two labels and Potts
compatibility.
"""

from __future__ import annotations

import numpy as np
import pydensecrf.densecrf as densecrf
from numpy.typing import NDArray

# The unary of a hard mask would be infinite; the published clip keeps each pixel 99 % sure of its label.
CERTAINTY = 0.99


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


def unary(foreground: NDArray[np.bool_ | np.float32]) -> NDArray[np.float32]:
    """-log clip(p, 0.01, 0.99) of a hard mask or a probability: (2, H*W) float32, background first, rows one by one."""
    foreground = foreground.reshape(-1).astype(np.float32)
    probability = np.stack([1.0 - foreground, foreground])
    return np.ascontiguousarray(-np.log(np.clip(probability, 1.0 - CERTAINTY, CERTAINTY)), dtype=np.float32)


def dense_crf(
    image: NDArray[np.uint8],
    foreground: NDArray[np.bool_ | np.float32],
    *,
    iterations: int,
    bilateral_weight: float,
    bilateral_xy: float,
    bilateral_rgb: float,
    gaussian_weight: float,
    gaussian_xy: float,
) -> NDArray[np.bool_]:
    """Mean-field refinement of a mask on its image; the sigmas are in pixels and in grey levels.

    image: (H, W, 3) uint8 RGB; foreground: (H, W), a hard mask or the probability of the object. Returns (H, W)
    bool; an empty mask stays empty, 0 iterations change nothing. The spatial sigmas are not scaled to the image: 80 px
    at 512 is 10 px at 64.
    """
    height, width = foreground.shape
    crf = densecrf.DenseCRF2D(width, height, 2)
    crf.setUnaryEnergy(unary(foreground))
    crf.addPairwiseGaussian(sxy=gaussian_xy, compat=gaussian_weight)
    crf.addPairwiseBilateral(
        sxy=bilateral_xy, srgb=bilateral_rgb, rgbim=np.array(image, order="C"), compat=bilateral_weight
    )
    marginal = np.asarray(crf.inference(iterations))
    return (marginal[1] > marginal[0]).reshape(height, width)
