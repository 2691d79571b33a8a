"""Boundary IoU on squares small enough to count."""

from __future__ import annotations

import numpy as np
import pytest

from stages.evaluate.boundary import boundary, boundary_areas, boundary_scores
from stages.evaluate.confusion import scores

NAMES = ("road", "car", "bus")


def square(row: int, col: int, side: int = 10) -> np.ndarray:
    """(40, 30): road, with a square of cars. The diagonal is 50: a boundary region is 1 pixel wide."""
    label = np.zeros((40, 30), np.uint8)
    label[row : row + side, col : col + side] = 1
    return label


def test_the_boundary_region_is_the_rim_of_a_square_and_the_frame_of_the_image():
    rim = boundary(square(5, 5) == 1)
    assert rim.sum() == 36
    assert boundary(np.ones((40, 30), bool)).sum() == 2 * (40 + 30) - 4
    assert not boundary(np.zeros((40, 30), bool)).any()


def test_the_region_is_two_percent_of_the_diagonal_wide():
    assert boundary(np.ones((300, 400), bool)).sum() == 300 * 400 - 280 * 380  # 2 % of 500 is 10


def test_areas_by_hand_a_square_that_is_one_pixel_off():
    areas = boundary_areas(square(5, 5), square(5, 6), 3)
    assert areas[:, 1].tolist() == [18, 54]  # the upper and lower rims share 9 pixels each, the sides none
    assert areas[:, 2].tolist() == [0, 0]


def test_equal_maps_have_all_of_their_boundaries_and_a_shift_costs_more_here_than_in_iou():
    matrix = np.array([[1090, 10, 0], [10, 90, 0], [0, 0, 0]])
    told = boundary_scores(boundary_areas(square(5, 5), square(5, 5), 3), matrix, NAMES, ["bus"])
    assert told["boundary_IoU"] == {"road": 100, "car": 100, "bus": None}
    assert told["mboundary_IoU"] == told["base_mboundary_IoU"] == 100
    assert told["novel_mboundary_IoU"] is None
    off = boundary_scores(boundary_areas(square(5, 5), square(5, 6), 3), matrix, NAMES, [])
    assert off["boundary_IoU"]["car"] == pytest.approx(100 * 18 / 54, abs=1e-4)
    assert off["boundary_IoU"]["car"] < scores(matrix, NAMES, [])["IoU"]["car"]


def test_what_is_predicted_on_ignored_pixels_moves_no_outline():
    truth, guess = square(5, 5), square(5, 5, 12)
    truth[15:17, 5:17] = truth[5:17, 15:17] = 255  # all that the guess has too much
    assert (boundary_areas(truth, guess, 3) == boundary_areas(truth, truth, 3)).all()
    assert boundary_areas(truth, guess, 3)[:, 1].tolist() == [36, 36]
