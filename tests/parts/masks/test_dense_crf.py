"""The dense CRF for K labels: two of them are the two-label one, and edges go where the image has them."""

import numpy as np
import pytest

from stages.parts.masks.dense_crf import Kernels, dense_crf, dense_crf_labels

KERNELS = Kernels(
    iterations=5, bilateral_weight=10.0, bilateral_xy=15.0, bilateral_rgb=13.0, gaussian_weight=3.0, gaussian_xy=1.0
)


def stripes() -> tuple[np.ndarray, np.ndarray]:
    """Three stripes of one colour each, and which pixel lies in which: (24, 36, 3) and (24, 36)."""
    label = np.repeat(np.arange(3), 12)[None].repeat(24, axis=0)
    return np.array([[200, 30, 30], [30, 200, 30], [30, 30, 200]], np.uint8)[label], label


def one_hot(label: np.ndarray, labels: int) -> np.ndarray:
    return (np.arange(labels)[:, None, None] == label).astype(np.float32)


def test_two_labels_are_the_mask_and_its_background() -> None:
    rng = np.random.default_rng(0)
    image = rng.integers(0, 255, (20, 30, 3), dtype=np.uint8)
    foreground = rng.random((20, 30)).astype(np.float32)
    marginals = dense_crf_labels(image, np.stack([1 - foreground, foreground]), KERNELS)
    assert ((marginals[1] > marginals[0]) == dense_crf(image, foreground, **KERNELS)).all()
    assert marginals.sum(axis=0) == pytest.approx(1, abs=1e-5)


def test_labels_that_strayed_over_an_edge_go_back_to_it() -> None:
    image, label = stripes()
    strayed = np.roll(label, 2, axis=1)
    strayed[:, :2] = 0
    assert (strayed != label).any()
    assert (dense_crf_labels(image, one_hot(strayed, 3), KERNELS).argmax(axis=0) == label).all()


def test_the_order_of_the_labels_does_not_matter() -> None:
    image, label = stripes()
    probability = (one_hot(np.roll(label, 1, axis=1), 3) * 0.6 + 0.4 / 3).astype(np.float32)
    order = [2, 0, 1]
    one, other = (dense_crf_labels(image, p, KERNELS) for p in (probability, probability[order]))
    assert other == pytest.approx(one[order], abs=1e-4)


def test_one_label_is_everywhere_and_sizes_must_agree() -> None:
    image, _ = stripes()
    assert (dense_crf_labels(image, np.full((1, 24, 36), 0.3, np.float32), KERNELS) == 1).all()
    with pytest.raises(ValueError, match="an image of"):
        dense_crf_labels(image, np.zeros((2, 24, 35), np.float32), KERNELS)


def test_no_iteration_keeps_the_labelling() -> None:
    image, label = stripes()
    still = Kernels(**(KERNELS | {"iterations": 0}))
    assert (dense_crf_labels(image, one_hot(label[:, ::-1], 3), still).argmax(axis=0) == label[:, ::-1]).all()
