"""The seed mask: A / max A, strictly above the threshold, then the CRF of OVAM's binarisation."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from stages.parts.masks.dense_crf import dense_crf, unary
from stages.parts.masks.points import hard_seed, normalise

# The published weights, spatial sigmas for 64 px. Together they have to beat log 99 = 4.6 to flip a pixel.
CRF: dict[str, Any] = {
    "iterations": 5, "bilateral_weight": 10.0, "bilateral_xy": 15.0, "bilateral_rgb": 13.0,
    "gaussian_weight": 3.0, "gaussian_xy": 1.0,
}  # fmt: skip


def test_the_map_is_divided_by_its_maximum_not_stretched() -> None:
    """Min-max would make 0.5 of [0.5, 1.0] a 0; the published rule keeps a flat map flat."""
    attribution = np.array([[2.0, 4.0], [3.0, 2.0]], np.float32)
    assert normalise(attribution).tolist() == [[0.5, 1.0], [0.75, 0.5]]
    assert normalise(np.full((2, 2), 7.0, np.float32)).tolist() == [[1.0, 1.0], [1.0, 1.0]]


def test_the_threshold_itself_is_background() -> None:
    attribution = np.array([[2.0, 4.0], [3.0, 1.0]], np.float32)
    assert hard_seed(attribution, 0.5).tolist() == [[False, True], [True, False]]
    assert hard_seed(attribution, 0.4999).tolist() == [[True, True], [True, False]]


def test_scaling_a_map_changes_no_seed() -> None:
    attribution = np.random.default_rng(0).random((16, 16)).astype(np.float32)
    assert np.array_equal(hard_seed(attribution, 0.45), hard_seed(attribution * 8, 0.45))


@pytest.mark.parametrize("value", [0.0, -1.0, np.nan, np.inf])
def test_a_map_that_points_nowhere_has_an_empty_seed(value: float) -> None:
    attribution = np.full((4, 4), value, np.float32)
    assert not hard_seed(attribution, 0.45).any()
    assert np.isfinite(normalise(attribution)).all()


def test_unary_is_the_clipped_log_of_the_hard_mask() -> None:
    """Background first; -log 0.99 for the label that a pixel has, -log 0.01 for the other."""
    sure, unsure = -np.log(0.99), -np.log(0.01)
    assert unary(np.array([[True, False]])) == pytest.approx(np.array([[unsure, sure], [sure, unsure]]), rel=1e-4)


def two_halves() -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """A red left half and a blue right one, the edge between columns 31 and 32; a little noise on both."""
    noise = np.random.default_rng(0).integers(0, 8, (64, 64, 3))
    image = np.full((64, 64, 3), (20, 30, 180))
    image[:, :32] = (190, 40, 20)
    return (image + noise).astype(np.uint8), np.arange(64)[None, :].repeat(64, 0) < 32


@pytest.mark.parametrize("overshoot", [-5, -3, 3, 5])
def test_crf_snaps_to_the_colour_edge(overshoot: int) -> None:
    image, truth = two_halves()
    rough = np.arange(64)[None, :].repeat(64, 0) < 32 + overshoot
    assert np.mean(rough != truth) > 0.04
    assert np.mean(dense_crf(image, rough, **CRF) != truth) < 0.005


def test_crf_sees_colour_only_through_the_bilateral_kernel() -> None:
    image, _ = two_halves()
    rough = np.arange(64)[None, :].repeat(64, 0) < 35
    assert not np.array_equal(dense_crf(image, rough, **CRF), rough)
    kept = dense_crf(image, rough, **(CRF | {"bilateral_weight": 0.0}))
    assert np.array_equal(kept, rough)


def test_no_iteration_changes_nothing() -> None:
    image, truth = two_halves()
    speckled = truth ^ (np.random.default_rng(0).random((64, 64)) < 0.05)
    assert np.array_equal(dense_crf(image, speckled, **(CRF | {"iterations": 0})), speckled)
    assert np.array_equal(dense_crf(image, speckled, **CRF), truth)
    assert np.array_equal(dense_crf(image, truth, **CRF), truth)


@pytest.mark.parametrize("weights", [(10.0, 3.0), (6.0, 3.0), (8.0, 0.0), (0.0, 8.0)])
def test_crf_is_the_mean_field_of_its_paper(weights: tuple[float, float]) -> None:
    """Against sums over all pairs of pixels; the library's lattice approximates them, hence 3 per cent."""
    image, _ = two_halves()
    image = image[:16, 22:42] // 8  # two tones a few sigmas apart, so that bilateral_rgb decides
    rough = (np.arange(20)[None, :] < 13) ^ (np.random.default_rng(1).random((16, 20)) < 0.15)
    crf = CRF | {"bilateral_weight": weights[0], "gaussian_weight": weights[1], "bilateral_xy": 5.0}
    expected = mean_field(image, rough, **crf)
    assert np.mean(expected != rough) > 0.05
    assert np.mean(dense_crf(image, rough, **crf) != expected) < 0.03


def mean_field(image: NDArray[np.uint8], mask: NDArray[np.bool_], **crf: Any) -> NDArray[np.bool_]:
    """Algorithm 1 of Krähenbühl & Koltun with Potts compatibility and symmetrically normalised kernels."""
    place = np.stack(np.meshgrid(*map(np.arange, mask.shape), indexing="ij"), -1).reshape(-1, 2)
    colour = image.reshape(-1, 3).astype(float)
    bilateral = kernel(np.hstack([place / crf["bilateral_xy"], colour / crf["bilateral_rgb"]]))
    pairwise = crf["bilateral_weight"] * bilateral + crf["gaussian_weight"] * kernel(place / crf["gaussian_xy"])
    energy = unary(mask).T
    marginal = np.exp(-energy)
    for _ in range(int(crf["iterations"])):
        marginal = np.exp(-energy + pairwise @ (marginal / marginal.sum(1, keepdims=True)))
    return (marginal[:, 1] > marginal[:, 0]).reshape(mask.shape)


def kernel(features: NDArray[np.float64]) -> NDArray[np.float64]:
    distances = ((features[:, None] - features[None]) ** 2).sum(-1)
    gaussian = np.exp(-distances / 2)
    norm = 1 / np.sqrt(gaussian.sum(1))
    return gaussian * norm[:, None] * norm[None]


def test_crf_keeps_rows_and_columns_apart_and_repeats_itself() -> None:
    """A transposed image and mask give the transposed answer, in an image that is not square too."""
    image, _ = two_halves()
    image.setflags(write=False)
    image, rough = image[:40], np.arange(64)[None, :].repeat(40, 0) < 36
    result = dense_crf(image, rough, **CRF)
    assert np.array_equal(result, dense_crf(image, rough, **CRF))
    turned = dense_crf(image.transpose(1, 0, 2), rough.T, **CRF)
    differing = np.mean(np.transpose(turned) != result)
    assert differing < 0.005


@pytest.mark.parametrize("value", [False, True])
def test_empty_and_full_masks_pass(value: bool) -> None:
    image, _ = two_halves()
    mask = np.full((64, 64), value)
    assert np.array_equal(dense_crf(image, mask, **CRF), mask)
