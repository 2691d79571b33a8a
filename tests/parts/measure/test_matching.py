"""Clusters get their classes as the published code gives them, and counts come out by hand."""

import numpy as np
import pytest

from stages.parts.measure.matching import identity, iou_matrix, many_to_one, one_to_one, overlap, renamed, scores

PREDICTION = np.array([[2, 2, 0, 0], [1, 1, 2, 0]])
TRUTH = np.array([[0, 0, 1, 1], [2, 1, 0, 255]])


def test_the_published_fixture_comes_out() -> None:
    counts = overlap(PREDICTION, TRUTH, 3, 3)
    assert counts.tolist() == [[0, 2, 0], [0, 1, 1], [3, 0, 0]]
    matched = one_to_one(counts)
    assert matched.tolist() == [1, 2, 0]
    iou, mean, accuracy = scores(counts, matched)
    assert iou == pytest.approx([100, 200 / 3, 50])
    assert (mean, accuracy) == (pytest.approx(72.2222, abs=1e-4), pytest.approx(85.7143, abs=1e-4))


def test_a_class_that_is_nowhere_is_in_no_mean() -> None:
    counts = overlap(PREDICTION, TRUTH, 4, 4)
    iou, mean, _ = scores(counts, one_to_one(counts))
    assert np.isnan(iou[3]) and mean == pytest.approx(72.2222, abs=1e-4)


def test_one_to_one_takes_the_best_sum_and_not_the_best_of_each() -> None:
    counts = np.array([[10, 9], [9, 0]])
    assert many_to_one(counts).tolist() == [0, 0]
    assert one_to_one(counts).tolist() == [1, 0]  # 9 + 9 is more than 10 + 0


def test_more_clusters_than_classes_leave_some_without_a_name_one_to_one() -> None:
    counts = np.array([[5, 0], [4, 0], [0, 3]])
    assert one_to_one(counts).tolist() == [0, -1, 1]
    assert renamed(counts, one_to_one(counts)).tolist() == [[5, 0], [0, 3], [4, 0]]
    _, _, accuracy = scores(counts, one_to_one(counts))
    assert accuracy == pytest.approx(100 * 8 / 12)
    assert many_to_one(counts).tolist() == [0, 0, 1]
    assert scores(counts, many_to_one(counts))[2] == 100


def test_an_empty_cluster_is_the_first_class_by_majority_and_changes_no_number() -> None:
    counts = np.array([[0, 0], [0, 4], [6, 0]])
    assert many_to_one(counts).tolist() == [0, 1, 0]
    assert scores(counts, many_to_one(counts))[1] == 100


def test_named_clusters_are_matched_by_nobody() -> None:
    counts = np.array([[1, 3], [3, 1]])
    assert scores(counts, identity(2))[2] == 25
    assert scores(counts, one_to_one(counts))[2] == 75


def test_matching_does_not_depend_on_the_order_of_the_clusters() -> None:
    rng = np.random.default_rng(0)
    counts = rng.integers(0, 100, (6, 6))
    order = rng.permutation(6)
    assert one_to_one(counts)[order].tolist() == one_to_one(counts[order]).tolist()
    assert scores(counts, one_to_one(counts))[1] == scores(counts[order], one_to_one(counts[order]))[1]


def test_iou_of_pairs_by_hand_and_0_where_nobody_is() -> None:
    assert iou_matrix(np.array([[2, 1, 0], [0, 3, 0]])).tolist() == [
        [pytest.approx(2 / 3), pytest.approx(1 / 6), 0],
        [0, pytest.approx(3 / 4), 0],
    ]
