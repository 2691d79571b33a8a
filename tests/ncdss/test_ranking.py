"""Entropy ranking [2.5], against values worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from stages.parts.discovery.ranking import clean_split, entropy, image_score, main_class


def pixels(*probabilities: list[float]) -> torch.Tensor:
    """(C, 1, N) of the class probabilities of each pixel."""
    return torch.tensor(probabilities, dtype=torch.float64).T[:, None]


def test_entropy_is_0_for_one_certain_class_1_for_none_and_a_half_for_two_of_four() -> None:
    found = entropy(pixels([1, 0, 0, 0], [0.25] * 4, [0.5, 0.5, 0, 0]))
    assert found.tolist() == [[0.0, pytest.approx(1.0, abs=1e-12), pytest.approx(0.5, abs=1e-12)]]


def test_entropy_of_a_skewed_pixel_is_the_sum_by_hand() -> None:
    p = [0.7, 0.2, 0.1]
    by_hand = -sum(x * np.log(x) for x in p) / np.log(3)
    assert entropy(pixels(p)).item() == pytest.approx(by_hand, abs=1e-12)


def test_a_batch_has_the_entropy_of_its_pictures() -> None:
    batch = torch.rand(3, 5, 4, 6, dtype=torch.float64).softmax(1)
    assert torch.equal(entropy(batch), torch.stack([entropy(one) for one in batch]))


def test_a_pictures_score_is_the_mean_over_its_novel_pixels_alone() -> None:
    uncertainty = np.array([[0.1, 0.2, 0.3, 0.9, 0.8]])
    label = np.array([[0, 3, 4, 5, 255]], np.uint8)  # base classes are 1 to 3
    assert image_score(uncertainty, label, 3) == pytest.approx(0.6)


def test_a_picture_without_a_novel_pixel_is_ranked_last_and_never_clean() -> None:
    """0 / 0 in the published code: a NaN, which has no place in a sort."""
    none = image_score(np.ones((2, 2)), np.array([[0, 1], [2, 255]], np.uint8), 3)
    assert none == np.inf
    assert clean_split([none, 0.9, 0.1], 1.0).tolist() == [False, True, True]
    assert clean_split([none, 0.9, 0.1], 0.67).tolist() == [False, True, True]


@pytest.mark.parametrize(("count", "share", "clean"), [(36, 0.67, 24), (24, 0.5, 12), (3, 0.67, 2), (1, 0.67, 0)])
def test_the_clean_pictures_are_the_first_int_of_lambda_n(count: int, share: float, clean: int) -> None:
    scores = np.random.default_rng(0).random(count).tolist()
    split = clean_split(scores, share)
    assert split.sum() == clean
    assert scores[split].max(initial=0) <= scores[~split].min(initial=1)


def test_of_equal_scores_those_that_come_first_are_clean() -> None:
    assert clean_split([0.5, 0.5, 0.5, 0.1], 0.5).tolist() == [True, False, False, True]


def test_the_order_of_the_pictures_changes_nothing_of_the_split() -> None:
    rng = np.random.default_rng(1)
    scores = rng.random(50)
    order = rng.permutation(50)
    assert np.array_equal(clean_split(scores.tolist(), 0.67)[order], clean_split(scores[order].tolist(), 0.67))


def test_a_quota_keeps_its_share_of_a_hard_class_too() -> None:
    scores, classes = [0.1, 0.2, 0.3, 0.4, 0.8, 0.9], [4, 4, 4, 4, 5, 5]
    assert clean_split(scores, 0.5).tolist() == [True, True, True, False, False, False]
    assert clean_split(scores, 0.5, classes).tolist() == [True, True, False, False, True, False]


def test_a_pictures_class_is_that_of_most_of_its_novel_pixels() -> None:
    assert main_class(np.array([[1, 1, 1, 4, 5, 5, 255]], np.uint8), 3) == 5
    assert main_class(np.array([[1, 0, 255]], np.uint8), 3) == 0
