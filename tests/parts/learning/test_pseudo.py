"""Pseudo-labels, ClassMix and the weights, on maps small enough to check by eye."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from stages.parts.learning.augment import strong_augment
from stages.parts.learning.pseudo_labels import batch_classes, class_mix, inside, mixed_target, pseudo_label
from stages.parts.store.streams import draw_stream

LABEL = torch.tensor([[10, 10, 2, 2], [13, 13, 0, 255]])  # sky, building, car, road, ignored


def logits() -> torch.Tensor:
    """Two images of four pixels, two classes: three, and one, of them 97 % sure."""
    sure = math.log(0.97 / 0.03)
    made = torch.zeros(2, 2, 1, 4)
    made[0, 1, 0, :3] = sure
    made[1, 0, 0, 0] = sure
    made[1, 1, 0, 1] = sure / 2
    return made


def test_pseudo_weight_is_the_share_of_sure_pixels_of_the_whole_batch():
    label, quality = pseudo_label(logits(), 0.968)
    assert label.tolist() == [[[1, 1, 1, 0]], [[0, 1, 0, 0]]]
    assert quality.item() == pytest.approx(4 / 8)
    assert pseudo_label(logits(), 0.971)[1].item() == 0


def test_or_of_each_image_as_the_paper_has_it():
    _, quality = pseudo_label(logits(), 0.968, "image")
    assert quality.shape == (2, 1, 1)
    assert quality.flatten().tolist() == pytest.approx([3 / 4, 1 / 4])


def test_class_mix_takes_whole_classes_and_half_of_them():
    taken: list[int] = []
    for draw in range(50):
        mask = class_mix(LABEL, np.random.default_rng(draw))
        classes = set(LABEL[mask].tolist())
        assert len(classes) == 2  # of four; 255 is no class
        assert 255 not in classes
        assert (mask == torch.isin(LABEL, torch.tensor(sorted(classes)))).all()
        taken += classes
    assert set(taken) == {0, 2, 10, 13}


@pytest.mark.parametrize(("classes", "expected"), [(1, 1), (2, 1), (3, 2), (5, 3)])
def test_class_mix_rounds_half_up(classes, expected):
    label = torch.arange(classes).repeat(2, 1)
    assert class_mix(label, np.random.default_rng(0)).sum() == 2 * expected


def test_class_mix_of_an_unlabelled_image_is_empty():
    assert not class_mix(torch.full((2, 2), 255), np.random.default_rng(0)).any()


def test_class_mix_as_published_draws_from_the_classes_of_the_batch_255_among_them():
    other = torch.tensor([[5, 6, 7, 7]])  # with the label's: 8 classes, 4 drawn
    batch = batch_classes(torch.cat([LABEL, other]))
    assert batch.tolist() == [0, 2, 5, 6, 7, 10, 13, 255]
    shares = [class_mix(LABEL, np.random.default_rng(draw), batch) for draw in range(60)]
    numbers = {len(set(LABEL[mask].tolist())) for mask in shares}
    assert {1, 3} <= numbers  # one image may give more or less than half of its classes
    assert any(255 in LABEL[mask] for mask in shares)


def test_mixed_label_and_weight_maps():
    mask = torch.tensor([[True, True, False, False], [False, False, False, True]])
    label, weight = mixed_target(mask, LABEL, torch.full((2, 4), 8), torch.tensor(0.25))
    assert label.tolist() == [[10, 10, 8, 8], [8, 8, 8, 255]]
    assert weight.tolist() == [[1, 1, 0.25, 0.25], [0.25, 0.25, 0.25, 1]]


def test_margin_rows_weigh_nothing_and_source_pixels_1_there_too():
    inner = 0.5 * inside((1, 1, 0, 1), (4, 4))
    assert inner.tolist() == [[0, 0, 0, 0], [0.5, 0.5, 0.5, 0], [0.5, 0.5, 0.5, 0], [0, 0, 0, 0]]
    mask = torch.zeros(4, 4, dtype=torch.bool)
    mask[0, 0] = True
    _, weight = mixed_target(mask, torch.zeros(4, 4), torch.zeros(4, 4), inner)
    assert weight[0].tolist() == [1, 0, 0, 0]


def test_daformers_margin_of_a_512_crop():
    weight = inside((15, 120, 0, 0), (512, 512))
    assert weight[:15].sum() == weight[392:].sum() == 0
    assert weight[15:392].all()


def test_hrdas_margin_is_of_the_image_before_the_crop():
    crop = inside((30, 240, 30, 30), (1024, 2048), (0, 1024, 1024, 1024))  # right half
    assert crop.shape == (1024, 1024)
    assert crop[30:784, :994].all()
    assert crop.sum() == (784 - 30) * 994


def test_strong_augmentation_happens_as_often_as_it_says_and_stays_in_range():
    image = torch.rand(3, 32, 64, generator=torch.Generator().manual_seed(0))
    changed = [strong_augment(image, draw_stream(0, k, "augment"), 0.8, 0.2, 0.0).ne(image).any() for k in range(300)]
    assert abs(sum(map(int, changed)) - 240) < 30  # 80 %; a port of DAFormer has 20 %
    both = strong_augment(image, draw_stream(0, 1, "augment"), 1.0, 0.2, 1.0)
    assert both.shape == image.shape
    assert 0 <= both.min() <= both.max() <= 1
    assert (both == strong_augment(image, draw_stream(0, 1, "augment"), 1.0, 0.2, 1.0)).all()
    assert (image == strong_augment(image, draw_stream(0, 1, "augment"), 0.0, 0.2, 0.0)).all()


def test_a_margin_larger_than_the_image_leaves_nothing():
    assert inside((15, 120, 0, 0), (100, 200)).sum() == 0
    assert inside((0, 0, 10, 80), (64, 64)).sum() == 0
