"""The confusion matrix and the scores: by hand, against mmseg where both are defined, and at the edges."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from stages.evaluate.confusion import confusion, scores

NAMES = ("road", "car", "truck", "bus")
TRUTH = np.array([[0, 0, 0, 1], [1, 1, 2, 255]], np.uint8)
GUESS = np.array([[0, 0, 1, 1], [1, 2, 2, 3]], np.uint8)


def test_matrix_by_hand_rows_are_the_truth():
    assert confusion(TRUTH, GUESS, 4).tolist() == [[2, 1, 0, 0], [0, 2, 1, 0], [0, 0, 1, 0], [0, 0, 0, 0]]


def test_scores_by_hand():
    result = scores(confusion(TRUTH, GUESS, 4), NAMES, ["truck", "bus"])
    assert result["IoU"] == {"road": 66.6667, "car": 50.0, "truck": 50.0, "bus": None}
    assert result["accuracy"] == {"road": 66.6667, "car": 66.6667, "truck": 100.0, "bus": None}
    assert result["mIoU"] == pytest.approx((200 / 3 + 50 + 50) / 3, abs=1e-4)
    assert result["base_mIoU"] == pytest.approx((200 / 3 + 50) / 2, abs=1e-4)
    assert result["novel_mIoU"] == 50
    assert result["pixel_accuracy"] == pytest.approx(500 / 7, abs=1e-4)


def test_a_class_counts_if_and_only_if_it_occurs_in_the_truth():
    """One stray pixel of an absent class may not move a mean but through the class it was taken from."""
    truth = np.zeros((10, 10), np.uint8)
    stray = truth.copy()
    stray[0, 0] = 3
    result = scores(confusion(truth, stray, 4), NAMES, ["truck", "bus"])
    assert result["IoU"] == {"road": 99.0, "car": None, "truck": None, "bus": None}
    assert result["mIoU"] == 99
    assert result["novel_mIoU"] is None
    missed = scores(confusion(stray, truth, 4), NAMES, ["truck", "bus"])
    assert missed["IoU"]["bus"] == 0
    assert missed["novel_mIoU"] == 0


def test_nothing_labelled_scores_nothing():
    result = scores(confusion(np.full((3, 3), 255, np.uint8), np.zeros((3, 3), np.uint8), 4), NAMES, ["bus"])
    assert result["mIoU"] is result["base_mIoU"] is result["novel_mIoU"] is result["pixel_accuracy"] is None


@pytest.mark.parametrize(("truth", "guess", "name"), [(4, 0, "label"), (254, 0, "label"), (0, 4, "prediction")])
def test_an_id_out_of_range_is_refused(truth, guess, name):
    maps = np.full((2, 2), truth, np.uint8), np.full((2, 2), guess, np.uint8)
    with pytest.raises(ValueError, match=f"the {name} holds the id {truth or guess}"):
        confusion(*maps, 4)


def test_maps_of_two_shapes_are_refused():
    with pytest.raises(ValueError, match=r"\(2, 2\).*\(2, 3\)"):
        confusion(np.zeros((2, 2), np.uint8), np.zeros((2, 3), np.uint8), 4)


def test_what_is_predicted_on_ignored_pixels_does_not_matter():
    other = GUESS.copy()
    other[1, 3] = 0
    assert (confusion(TRUTH, other, 4) == confusion(TRUTH, GUESS, 4)).all()


def test_matrices_of_parts_add_up_to_that_of_the_whole():
    parts = [confusion(TRUTH[:, [k]], GUESS[:, [k]], 4) for k in range(4)]
    assert (np.sum(parts, axis=0) == confusion(TRUTH, GUESS, 4)).all()


@pytest.mark.filterwarnings("ignore")
def test_agrees_with_mmseg_where_every_class_occurs():
    from mmseg.evaluation import IoUMetric

    rng = np.random.default_rng(0)
    truth = rng.integers(0, 19, (40, 50)).astype(np.uint8)
    guess = np.where(rng.random(truth.shape) < 0.6, truth, rng.integers(0, 19, truth.shape)).astype(np.uint8)
    truth[rng.random(truth.shape) < 0.1] = 255
    maps = (torch.from_numpy(each.astype(np.int64)) for each in (guess, truth))
    areas = IoUMetric.intersect_and_union(*maps, 19, 255)
    theirs = IoUMetric.total_area_to_metrics(*areas, ["mIoU"])
    names = [f"class {k}" for k in range(19)]
    ours = scores(confusion(truth, guess, 19), names, names[:3])
    assert list(ours["IoU"].values()) == pytest.approx(100 * theirs["IoU"], abs=1e-4)
    assert list(ours["accuracy"].values()) == pytest.approx(100 * theirs["Acc"], abs=1e-4)
    assert ours["pixel_accuracy"] == pytest.approx(100 * float(theirs["aAcc"]), abs=1e-4)
    assert ours["mIoU"] == pytest.approx(100 * np.mean(theirs["IoU"]), abs=1e-4)
