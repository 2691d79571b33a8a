"""Dataset Diffusion's masks: a map carried along the likeness of the image's cells, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from stages.parts.errors import GraftError
from stages.parts.masks.propagation import grid, labels, spread
from stages.refine.methods import Drawn, OwnAttention
from tests.refine.drawings import drawn


def test_a_map_is_carried_along_the_likeness_by_hand() -> None:
    """Cells 0 and 1 attend to each other only, 2 and 3 too: what points at 0 ends on 0 and 1."""
    own = np.kron(np.eye(2), np.full((2, 2), 0.5)).astype(np.float32)
    found = spread(own, np.array([[[8.0, 0.0], [0.0, 0.0]]], np.float32), (2, 2), 4)
    assert found.tolist() == [[[1.0, 1.0], [0.0, 0.0]]]


def test_power_is_a_matrix_power_and_zero_is_the_map_itself() -> None:
    own = np.array([[0.9, 0.1, 0, 0], [0.2, 0.7, 0.1, 0], [0, 0.3, 0.6, 0.1], [0, 0, 0.5, 0.5]], np.float32)
    cross = np.array([[[1.0, 0.0], [0.5, 0.25]]], np.float32)
    expected = own.astype(float) @ own @ own @ own @ cross.reshape(-1)
    expected = (expected - expected.min()) / (expected - expected.min()).max()
    assert spread(own, cross, (8, 8), 4).reshape(-1) == pytest.approx(expected, abs=1e-12)
    assert spread(own, cross, (8, 8), 0).reshape(-1) == pytest.approx([1.0, 0.0, 0.5, 0.25])


def test_scaling_either_map_changes_nothing_and_a_flat_map_points_nowhere() -> None:
    rng = np.random.default_rng(0)
    own, cross = rng.random((16, 16)).astype(np.float32), rng.random((2, 4, 4)).astype(np.float32)
    own /= own.sum(1, keepdims=True)
    assert spread(own, cross, (64, 64), 4) == pytest.approx(spread(own, cross * 8, (64, 64), 4))
    assert not spread(own, np.ones((1, 4, 4), np.float32), (64, 64), 4).any()


def test_labels_have_a_band_of_doubt_between_two_thresholds() -> None:
    maps = np.array([[[0.6, 0.59], [0.5, 0.49]], [[0.0, 0.7], [0.0, 0.0]]])
    assert labels(maps, (2, 2), 0.6, 0.5).tolist() == [[1, 2], [255, 0]]
    with pytest.raises(ValueError, match="255 classes"):
        labels(np.zeros((255, 1, 1)), (2, 2), 0.6, 0.5)


def test_labels_are_enlarged_bicubically() -> None:
    """Pinned off the grid: between cells of 0 and 1 the kernel gives 0.2265625, where a bilinear one gives 0.25."""
    step = np.array([[[0.0, 0.0, 1.0, 1.0]]])
    assert labels(step, (1, 8), 0.2265, 0.2).tolist() == [[0, 0, 0, 1, 1, 1, 1, 1]]
    assert labels(step, (1, 8), 0.2266, 0.2).tolist() == [[0, 0, 0, 255, 1, 1, 1, 1]]


def test_the_grid_has_the_images_proportions() -> None:
    assert grid(64, (64, 64)) == (8, 8)
    assert grid(128, (64, 128)) == (8, 16)
    with pytest.raises(ValueError, match="no scale of an image of 64 x 64"):
        grid(60, (64, 64))


def test_the_grid_of_any_image_is_found_again_though_a_unet_rounds_up() -> None:
    assert grid(23 * 40, (360, 640)) == (23, 40)
    for height in range(256, 1025, 56):
        for width in range(256, 1025, 8):
            for halvings in (1, 2, 3):
                cells = [-(-(side // 8) // 2**halvings) for side in (height, width)]
                assert grid(cells[0] * cells[1], (height, width)) == tuple(cells)


def test_a_sample_without_recorded_self_attention_is_a_sentence() -> None:
    with pytest.raises(GraftError, match=r"generate\.attribution to dataset_diffusion"):
        OwnAttention(4, 0.6, 0.5)({0: drawn(0)})


def test_the_method_gives_mask_and_doubt() -> None:
    own = np.eye(16, dtype=np.float32)
    cross = np.zeros((4, 4), np.float32)
    cross[1:3, 1:3] = 1.0
    one = drawn(0)
    found = OwnAttention(4, 0.6, 0.5)({3: Drawn(one.image, one.attribution, one.seed, own, cross)})[3]
    assert found.mask[24:40, 24:40].all() and not found.mask[:8].any()
    assert found.doubt.any() and not (found.doubt & found.mask).any()
