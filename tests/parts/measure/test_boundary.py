"""Boundary IoU on squares small enough to count."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from stages.parts.measure.boundary import boundary, boundary_areas, boundary_scores
from stages.parts.measure.confusion import scores

NAMES = ("road", "car", "bus")


def square(row: int, col: int, side: int = 10) -> np.ndarray:
    """(40, 30): road, with a square of cars. The diagonal is 50: a boundary region is 1 pixel wide."""
    label = np.zeros((40, 30), np.uint8)
    label[row : row + side, col : col + side] = 1
    return label


def test_the_boundary_region_is_either_side_of_an_outline_and_the_frame_of_the_image():
    rim = boundary(square(5, 5))
    frame = 2 * (40 + 30) - 4
    assert (rim == 1).sum() == 36
    assert (rim == 0).sum() == frame + 4 * 10 + 4
    assert (boundary(np.ones((40, 30), np.uint8)) == 1).sum() == frame


def test_the_region_is_two_percent_of_the_diagonal_wide():
    assert (boundary(np.ones((300, 400), np.uint8)) == 1).sum() == 300 * 400 - 280 * 380  # 2 % of 500 is 10


def class_by_class(truth: np.ndarray, guess: np.ndarray, num_classes: int) -> np.ndarray:
    """The definition: each class's mask less its erosion."""
    guess = np.where(truth == 255, np.uint8(255), guess)
    reach = max(1, round(0.02 * float(np.hypot(*truth.shape))))
    kernel = np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)
    areas = np.zeros((2, num_classes), np.int64)
    for k in range(num_classes):
        masks = [(each == k).astype(np.uint8) for each in (truth, guess)]
        ours, theirs = (m - cv2.erode(m, kernel, borderType=cv2.BORDER_CONSTANT, borderValue=0) for m in masks)
        areas[:, k] = np.count_nonzero(ours & theirs), np.count_nonzero(ours | theirs)
    return areas


@pytest.mark.parametrize("size", [(1, 1), (3, 200), (60, 90), (150, 170)])
def test_all_classes_at_once_have_the_areas_of_each_on_its_own(size: tuple[int, int]):
    for seed in range(8):
        rng = np.random.default_rng(seed)
        cell = int(rng.integers(1, 20))  # from noise to large blobs
        shape = tuple(-(-side // cell) for side in size)
        truth, guess = (
            np.kron(rng.integers(0, 7, shape), np.ones((cell, cell), int)).astype(np.uint8)[: size[0], : size[1]]
            for _ in range(2)
        )
        guess = np.where(rng.random(size) < 0.9, truth, guess)
        truth[np.kron(rng.random(shape) < 0.1, np.ones((cell, cell), bool))[: size[0], : size[1]]] = 255
        assert (boundary_areas(truth, guess, 5) == class_by_class(truth, guess, 5)).all()  # 5 and 6 are no classes


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


def test_a_class_that_the_truth_lacks_counts_as_evaluate_absent_says():
    truth, guess = square(5, 5), square(5, 5)
    guess[30, 20] = 2  # a stray pixel of bus
    matrix = np.array([[1099, 0, 1], [0, 100, 0], [0, 0, 0]])
    areas = boundary_areas(truth, guess, 3)
    assert boundary_scores(areas, matrix, NAMES, ["bus"])["novel_mboundary_IoU"] is None
    told = boundary_scores(areas, matrix, NAMES, ["bus"], "mmseg")
    assert told["boundary_IoU"]["bus"] == told["novel_mboundary_IoU"] == 0
    assert told["mboundary_IoU"] == pytest.approx(2 / 3 * told["base_mboundary_IoU"], abs=1e-3)
