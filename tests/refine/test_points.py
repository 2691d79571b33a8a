"""UCG's cross, computed by hand at its own size and at the miniature's."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest
from numpy.typing import NDArray

from stages.params import Refine
from stages.refine.points import MODES, cross


def boxed(side: int, top: int, bottom: int, left: int, right: int) -> NDArray[np.bool_]:
    """A seed whose bounding box is the given one, inclusive, and of which only two corners are foreground."""
    seed = np.zeros((side, side), bool)
    seed[top, left] = seed[bottom, right] = True
    return seed


def test_cross_at_512_has_the_published_arms() -> None:
    """Rows 100..300, columns 50..151: centre x 100.5, y 200; arms 25 px down and up, 50 px right and left."""
    expected = [(100.5, 200.0), (100.5, 225.0), (150.5, 200.0), (100.5, 175.0), (50.5, 200.0)]
    assert cross(boxed(512, 100, 300, 50, 151)).tolist() == [list(point) for point in expected]


def test_cross_at_64_is_the_same_cross_eight_times_smaller() -> None:
    """25 / 8 = 3.125 px and 50 / 8 = 6.25 px."""
    expected = [(30.0, 20.0), (30.0, 23.125), (36.25, 20.0), (30.0, 16.875), (23.75, 20.0)]
    assert cross(boxed(64, 10, 30, 20, 40)).tolist() == [list(point) for point in expected]


def test_arms_scale_with_each_side() -> None:
    seed = np.zeros((256, 1024), bool)
    seed[100, 400] = True
    assert cross(seed)[1:].tolist() == [[400.0, 112.5], [500.0, 100.0], [400.0, 87.5], [300.0, 100.0]]


def test_points_are_clipped_to_the_image() -> None:
    assert cross(boxed(64, 0, 0, 0, 0)).tolist() == [[0, 0], [0, 3.125], [6.25, 0], [0, 0], [0, 0]]
    assert cross(boxed(64, 63, 63, 63, 63)).tolist() == [
        [63, 63],
        [63, 63],
        [63, 63],
        [63, 59.875],
        [56.75, 63],
    ]


def test_every_foreground_pixel_counts_not_only_the_largest_part() -> None:
    seed = np.zeros((64, 64), bool)
    seed[10:30, 10:30] = True
    seed[50, 59] = True
    assert cross(seed)[0].tolist() == [34.5, 30.0]


def test_a_mirrored_seed_gives_the_mirrored_cross() -> None:
    seed = boxed(64, 10, 30, 12, 41)
    mirrored = cross(seed[:, ::-1])[[0, 1, 4, 3, 2]]
    mirrored[:, 0] = 63 - mirrored[:, 0]
    assert np.array_equal(mirrored, cross(seed))


def test_an_empty_seed_is_a_programming_error() -> None:
    with pytest.raises(ValueError, match="empty seed"):
        cross(np.zeros((8, 8), bool))


def test_the_modes_are_those_of_the_params() -> None:
    assert set(MODES) == set(get_args(Refine.model_fields["points"].annotation))
