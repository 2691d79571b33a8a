"""UCG's cross, computed by hand at its own size and at the miniature's."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from stages.parts.masks.points import box, cross, inside, outside
from stages.parts.masks.sam_prompts import STYLES, prompt


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


def ring() -> NDArray[np.bool_]:
    y, x = np.mgrid[:64, :64] - 32
    return (np.hypot(x, y) < 28) & (np.hypot(x, y) > 16)


def test_inside_points_lie_on_the_object_where_the_cross_does_not() -> None:
    """A ring's box is centred on its hole."""
    seed = ring()
    assert not any(seed[int(y), int(x)] for x, y in cross(seed)[:1])
    points = inside(seed)
    assert len(points) == 5 and all(seed[int(y), int(x)] for x, y in points)


def test_the_first_inside_point_is_the_deepest_and_the_others_keep_away() -> None:
    seed = np.zeros((64, 64), bool)
    seed[20:41, 10:51] = True
    points = inside(seed)
    assert points[0].tolist()[1] == 30 and 20 <= points[0][0] <= 40
    gaps = [np.hypot(*(a - b)) for i, a in enumerate(points) for b in points[:i]]
    assert min(gaps) > 5


def test_a_pixel_a_full_image_and_a_corner_have_an_inside() -> None:
    speck = np.zeros((16, 16), bool)
    speck[3, 5] = True
    assert inside(speck).tolist() == [[5.0, 3.0]]
    assert inside(np.ones((9, 9), bool))[0].tolist() == [4.0, 4.0]
    corner = np.zeros((32, 32), bool)
    corner[:11, :11] = True
    assert inside(corner, 1).tolist() == [[5.0, 5.0]]


def test_negatives_keep_their_distance_and_are_none_when_there_is_no_room() -> None:
    seed = np.zeros((64, 64), bool)
    seed[24:40, 24:40] = True
    away = outside(seed, 4)
    rows, columns = np.nonzero(seed)
    assert len(away) == 4
    assert all(np.hypot(columns - x, rows - y).min() > 64 / 16 for x, y in away)
    assert outside(np.ones((32, 32), bool), 4).shape == (0, 2)
    assert len(outside(np.zeros((32, 32), bool), 2)) == 2


def test_box_and_labels_of_each_style() -> None:
    seed = boxed(64, 10, 30, 20, 40)
    assert prompt(seed, "box").box is not None and len(prompt(seed, "box").points) == 0
    assert box(seed).tolist() == [20, 10, 40, 30]
    asked = prompt(seed, "box+points", negatives=3)
    assert asked.box is not None and asked.labels.tolist() == [1] * (len(asked.points) - 3) + [0] * 3
    assert prompt(seed, "cross").labels.tolist() == [1] * 5


@pytest.mark.parametrize("style", STYLES)
def test_an_empty_seed_has_no_prompt_in_any_style(style: str) -> None:
    with pytest.raises(ValueError, match="empty seed"):
        prompt(np.zeros((8, 8), bool), style)
