"""Feature distance, MIC's mask and rare class sampling against values worked out by hand."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
import torch

from stages.parts.datasets.labels import LABELS
from stages.parts.errors import GraftError
from stages.parts.learning.augment import block_mask
from stages.parts.learning.distance import feature_distance, thing_cells
from stages.parts.learning.rare_classes import Draw, RareClasses, class_probabilities, count


def test_a_cell_is_a_things_if_one_class_fills_three_quarters_of_it():
    label = torch.zeros(1, 4, 8, dtype=torch.long)
    label[0, :, :4] = 13
    label[0, 0, :4] = 255  # a car on 12 of the 16 pixels of the first cell
    cells = thing_cells(label, (1, 2), (13, 14), 0.75, 19)
    assert cells.tolist() == [[[True, False]]]  # the second is road: no thing
    label[0, 1, 0] = 255
    assert thing_cells(label, (1, 2), (13, 14), 0.75, 19).tolist() == [[[False, False]]]
    assert thing_cells(torch.full((1, 4, 8), 255), (1, 2), tuple(range(19)), 0.1, 19).sum() == 0


def test_feature_distance_is_the_mean_length_over_the_cells():
    ours, known = torch.zeros(1, 2, 1, 3, requires_grad=True), torch.zeros(1, 2, 1, 3)
    known[0, :, 0, 0], known[0, :, 0, 1] = torch.tensor([3.0, 4.0]), torch.tensor([0.0, 1.0])
    distance = feature_distance(ours, known, torch.tensor([[[True, True, False]]]))
    assert distance.item() == 3
    distance.backward()
    assert ours.grad is not None and torch.isfinite(ours.grad).all()
    assert ours.grad[0, :, 0, 0].tolist() == pytest.approx([-0.3, -0.4])


def test_feature_distance_without_a_cell_is_0_and_not_nan():
    ours = torch.randn(1, 2, 2, 2, requires_grad=True)
    distance = feature_distance(ours, ours.detach(), torch.zeros(1, 2, 2, dtype=torch.bool))
    assert distance.item() == 0
    distance.backward()
    assert ours.grad is not None and not ours.grad.any()


@pytest.mark.parametrize("ratio", [0.3, 0.7])
def test_mic_hides_its_share_of_whole_blocks(ratio: float):
    masks = [block_mask((64, 128), 8, ratio, np.random.default_rng(k)) for k in range(50)]
    for mask in masks:
        blocks = mask.reshape(8, 8, 16, 8)
        assert ((blocks == 0) | (blocks == 1)).all()
        assert (blocks == blocks[:, :1, :, :1]).all()
    assert torch.stack(masks).mean().item() == pytest.approx(1 - ratio, abs=0.02)
    assert (masks[0] != masks[1]).any()


def test_a_block_larger_than_the_image_hides_all_or_nothing():
    assert {block_mask((8, 8), 64, 0.5, np.random.default_rng(k)).mean().item() for k in range(20)} == {0.0, 1.0}


def test_rare_class_probabilities_are_the_formulas():
    pixels = {0: 980, 1: 15, 2: 5}
    weights = [math.exp((1 - n / 1000) / 0.01) for n in pixels.values()]
    expected = [weight / sum(weights) for weight in weights]
    assert list(class_probabilities(pixels, 0.01).values()) == pytest.approx(expected)
    assert expected[2] / expected[1] == pytest.approx(math.e)  # one percent less is e times as likely


def test_a_budget_gives_the_novel_classes_their_share_and_the_others_what_is_left():
    pixels = {0: 900, 1: 50, 14: 30, 15: 20}
    shares = class_probabilities(pixels, 0.01, {14, 15, 16}, 0.3)
    assert [shares[c] for c in (14, 15, 16)] == pytest.approx([0.1] * 3)  # 16 though it was never pasted yet
    assert sum(shares.values()) == pytest.approx(1)
    assert shares[1] / shares[0] == pytest.approx(math.exp(0.85 / 0.01))  # among themselves as ever
    assert class_probabilities(pixels, 0.01, {14, 15}, 0.0)[14] == 0
    assert class_probabilities({14: 5, 15: 0}, 0.01, {14, 15}, 0.3) == {14: 0.5, 15: 0.5}, "no base class to share with"


def test_at_vanishing_shares_all_classes_are_equal_so_that_novel_ones_need_a_budget():
    pixels = {0: 100_000} | {c: 10 for c in range(1, 11)} | {14: 10, 15: 10, 16: 10}
    shares = class_probabilities(pixels, 0.01)
    assert sum(shares[c] for c in (14, 15, 16)) == pytest.approx(3 / 13, abs=0.01)


COUNTS: list[dict[int, int]] = [{0: 900, 1: 100}, {0: 990, 1: 10}, {0: 1000}]


def test_an_image_is_drawn_that_has_more_than_enough_of_the_class():
    rare = RareClasses(COUNTS, LABELS, 1.0, min_pixels=10)
    rng = np.random.default_rng(0)
    drawn = Counter(rare.draw(rng) for _ in range(300))
    assert {draw.image for draw in drawn if draw.class_id == 1} == {0}
    assert {draw.image for draw in drawn if draw.class_id == 0} == {0, 1, 2}
    share = sum(n for draw, n in drawn.items() if draw.class_id == 1) / 300
    assert share == pytest.approx(1 / (1 + math.exp((110 - 2890) / 3000)), abs=0.06)


def test_a_novel_class_is_drawn_with_any_image_and_counts_what_pasting_adds():
    rare = RareClasses(COUNTS, LABELS, 0.1, 10, added={14: 50.0}, novel={14})
    assert dict(zip(rare.classes, rare.probabilities, strict=True)) == pytest.approx(
        class_probabilities({0: 2890, 1: 110, 14: 150}, 0.1)
    )
    assert {rare.draw(np.random.default_rng(k)) for k in range(200)} >= {Draw(k, 14) for k in range(3)}


def test_a_class_that_no_image_has_enough_of_is_a_sentence():
    with pytest.raises(GraftError, match=r"more than 100 pixels of sidewalk; lower train\.rare_classes\.min_pixels"):
        RareClasses(COUNTS, LABELS, 0.01, 100)


def test_a_source_without_a_labelled_pixel_is_a_sentence():
    with pytest.raises(GraftError, match=r"every pixel of the source's labels is 255.*scenes\.source"):
        RareClasses([{}, {}], LABELS, 0.01, 10)


def test_ignored_pixels_are_counted_for_no_class():
    assert count(np.array([[0, 0, 255], [13, 255, 255]], np.uint8)) == {0: 2, 13: 1}
