"""The dense CRF, for two labels and for any number.

Krähenbühl and Koltun, "Efficient Inference in Fully Connected CRFs with Gaussian Edge Potentials", NIPS 2011, with
Potts compatibility: pixels that are near, or near and of like colour, should have one label. The sigmas are in pixels
and in grey levels of the image as it is: 80 px at 512 is 10 px at 64.
"""

from __future__ import annotations

from typing import TypedDict

import numpy as np
import pydensecrf.densecrf as densecrf
from numpy.typing import NDArray

# The unary of a hard label would be infinite; the published clip keeps each pixel 99 % sure of its label.
CERTAINTY = 0.99


class Kernels(TypedDict):
    """iterations: mean-field steps; weight: the Potts weight of a kernel; xy, rgb: its reach."""

    iterations: int
    bilateral_weight: float
    bilateral_xy: float
    bilateral_rgb: float
    gaussian_weight: float
    gaussian_xy: float


def unary(foreground: NDArray[np.bool_ | np.float32]) -> NDArray[np.float32]:
    """-log clip(p, 0.01, 0.99) of a hard mask or a probability: (2, H*W) float32, background first, rows one by one."""
    foreground = foreground.reshape(-1).astype(np.float32)
    return energy(np.stack([1.0 - foreground, foreground]))


def energy(probability: NDArray[np.float32]) -> NDArray[np.float32]:
    """-log clip(p, 0.01, 0.99), (K, H*W) float32."""
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
    """Mean-field refinement of a mask on its image.

    image: (H, W, 3) uint8 RGB; foreground: (H, W), a hard mask or the probability of the object. Returns (H, W)
    bool; an empty mask stays empty, 0 iterations change nothing.
    """
    kernels = Kernels(
        iterations=iterations, bilateral_weight=bilateral_weight, bilateral_xy=bilateral_xy,
        bilateral_rgb=bilateral_rgb, gaussian_weight=gaussian_weight, gaussian_xy=gaussian_xy,
    )  # fmt: skip
    marginal = _inference(image, unary(foreground), kernels)
    return (marginal[1] > marginal[0]).reshape(foreground.shape)


def dense_crf_labels(
    image: NDArray[np.uint8], probability: NDArray[np.float32], kernels: Kernels
) -> NDArray[np.float32]:
    """Mean-field refinement of K labels on their image.

    image: (H, W, 3) uint8 RGB; probability: (K, H, W) float32 in [0, 1], of sum 1 per pixel, or one-hot. Returns the
    marginals (K, H, W) float32, of sum 1; their argmax is the labelling. With one label all is that label. ValueError
    for sizes that differ."""
    labels, height, width = probability.shape
    if image.shape[:2] != (height, width):
        raise ValueError(f"an image of {image.shape[:2]} and probabilities of {(height, width)}")
    if labels == 1:
        return np.ones_like(probability)
    return _inference(image, energy(probability.reshape(labels, -1)), kernels).reshape(labels, height, width)


def _inference(image: NDArray[np.uint8], energies: NDArray[np.float32], kernels: Kernels) -> NDArray[np.float32]:
    height, width = image.shape[:2]
    crf = densecrf.DenseCRF2D(width, height, len(energies))
    crf.setUnaryEnergy(energies)
    crf.addPairwiseGaussian(sxy=kernels["gaussian_xy"], compat=kernels["gaussian_weight"])
    crf.addPairwiseBilateral(
        sxy=kernels["bilateral_xy"],
        srgb=kernels["bilateral_rgb"],
        rgbim=np.array(image, order="C"),
        compat=kernels["bilateral_weight"],
    )
    return np.asarray(crf.inference(kernels["iterations"]))
