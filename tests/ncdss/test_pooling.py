"""Masked pooling of a map enlarged to the picture, without the large map [2.3.4]."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from stages.parts.discovery.pooling import adjoint, bilinear, isolated, pooled, unit


@pytest.mark.parametrize(
    ("large", "small"), [((64, 64), (8, 8)), ((33, 50), (5, 7)), ((8, 6), (8, 6)), ((7, 9), (1, 2))]
)
def test_the_adjoint_gives_the_sum_over_the_enlarged_map(large: tuple[int, int], small: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    features, mask = rng.normal(size=(6, *small)), rng.random(large) > 0.6
    enlarged = F.interpolate(torch.from_numpy(features)[None], large, mode="bilinear", align_corners=False)[0].numpy()
    summed = np.tensordot(features, adjoint(mask, small), axes=((1, 2), (0, 1)))
    assert np.abs(summed - enlarged[:, mask].sum(axis=1)).max() < 1e-9


def test_every_pixel_is_a_mean_of_cells() -> None:
    assert bilinear(10, 4).sum(axis=1) == pytest.approx(np.ones(10))
    assert bilinear(4, 2) == pytest.approx(np.array([[1, 0], [0.75, 0.25], [0.25, 0.75], [0, 1]]))


def test_a_pooled_feature_has_unit_length_and_that_of_no_pixel_is_zero() -> None:
    features = np.ones((4, 2, 2))
    assert pooled(features, np.ones((8, 8), bool)) == pytest.approx(np.full(4, 0.5))
    assert not pooled(features, np.zeros((8, 8), bool)).any()
    assert unit(np.zeros((2, 3))).shape == (2, 3)


def test_a_region_alone_is_in_the_middle_on_grey_in_its_proportions() -> None:
    image = np.full((20, 30, 3), 200, np.uint8)
    mask = np.zeros((20, 30), bool)
    mask[3:8, 2:12] = True  # twice as wide as high
    seen = isolated(image, mask, 50)
    bright = (seen == 200).all(axis=2)
    rows, cols = np.flatnonzero(bright.any(axis=1)), np.flatnonzero(bright.any(axis=0))
    assert (len(rows), len(cols)) == (20, 40)
    assert (rows[0], cols[0]) == (15, 5)
    assert (seen[~bright] == 127).all()


def test_what_is_beside_the_region_changes_nothing() -> None:
    rng = np.random.default_rng(0)
    mask = np.zeros((16, 16), bool)
    mask[4:9, 5:11] = True
    one, other = (rng.integers(0, 255, (16, 16, 3), np.uint8) for _ in range(2))
    other[mask] = one[mask]
    assert np.array_equal(isolated(one, mask, 32), isolated(other, mask, 32))
    assert (isolated(one, np.zeros_like(mask), 32) == 127).all()
