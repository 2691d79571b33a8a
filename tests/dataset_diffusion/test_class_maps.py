"""Masks from given S and C are what the published recipe says, worked out by hand; what goes beyond it is off at 0."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from stages.parts.datasets.labels import IGNORE
from stages.parts.masks.class_maps import enlarged, flat_maps, label_map, normalised, spread, word_attention
from stages.parts.masks.propagation import spread as spread64

Maps = NDArray[np.float32]


def stochastic(cells: int, seed: int = 0) -> torch.Tensor:
    values = torch.rand(cells, cells, generator=torch.Generator().manual_seed(seed))
    return values / values.sum(1, keepdim=True)


@pytest.mark.parametrize("power", [0, 1, 2, 4])
def test_powers_of_row_stochastic_attention_have_rows_that_add_up_to_one(power: int) -> None:
    whole = spread(stochastic(64), torch.ones(1, 8, 8), power)
    assert torch.allclose(whole, torch.ones(1, 8, 8), atol=1e-5)


def test_a_power_is_the_product_of_its_factors() -> None:
    own, words = stochastic(64), torch.rand(3, 8, 8, generator=torch.Generator().manual_seed(1))
    once = words
    for _ in range(4):
        once = spread(own, once, 1)
    assert torch.allclose(spread(own, words, 4), once, atol=1e-7)


def test_a_hand_worked_picture_of_four_cells() -> None:
    """Cells 0 and 1 share their attention, so do 2 and 3: the word at cell 0 fills both of its pair."""
    own = torch.tensor([[0.5, 0.5, 0, 0], [0.5, 0.5, 0, 0], [0, 0, 0.5, 0.5], [0, 0, 0.5, 0.5]])
    cross = torch.tensor([[0.2, 0.8], [0.8, 0.2], [1.0, 0.0], [1.0, 0.0]])
    words = word_attention(cross, [(1,)], (2, 2), (2, 2))
    assert torch.allclose(words, torch.tensor([[[0.8, 0.2], [0.0, 0.0]]]))
    maps = normalised(spread(own, words, 4))
    assert torch.allclose(maps, torch.tensor([[[1.0, 1.0], [0.0, 0.0]]]))
    assert label_map(maps.numpy(), [5], 0.6, 0.5).tolist() == [[5, 5], [0, 0]]


def test_a_word_of_several_tokens_is_their_mean() -> None:
    cross = torch.rand(4, 77, generator=torch.Generator().manual_seed(0))
    both = word_attention(cross, [(2, 3)], (2, 2), (4, 4))[0]
    alone = word_attention(cross, [(2,), (3,)], (2, 2), (4, 4))
    assert torch.allclose(both, alone.mean(0))


def test_each_map_reaches_from_0_to_1_whatever_the_scale() -> None:
    raw = spread(stochastic(16), torch.rand(2, 4, 4, generator=torch.Generator().manual_seed(2)), 2)
    maps = normalised(raw)
    assert maps.amin((1, 2)).tolist() == [0, 0] and maps.amax((1, 2)).tolist() == [1, 1]
    assert torch.allclose(normalised(raw * 1000), maps, atol=1e-5)


@pytest.mark.parametrize("value", [0.0, 1 / 3, 1e-30])
def test_a_constant_map_is_0_and_no_nan(value: float) -> None:
    raw = torch.stack([torch.full((4, 4), value), torch.eye(4)])
    assert normalised(raw).tolist() == [torch.zeros(4, 4).tolist(), torch.eye(4).tolist()]
    assert flat_maps(raw).tolist() == [True, False]


def test_float32_and_float64_agree_but_for_rounding() -> None:
    own, cross = stochastic(64), torch.rand(64, 3, generator=torch.Generator().manual_seed(3))
    ours = normalised(spread(own, word_attention(cross, [(0,), (1,), (2,)], (8, 8), (8, 8)), 2))
    theirs = spread64(own.numpy(), cross.T.unflatten(1, (8, 8)).numpy(), (64, 64), 2)
    assert np.allclose(ours.numpy(), theirs, atol=1e-3)


def row(*values: float) -> Maps:
    """One map, one row of pixels."""
    return np.array([[values]], np.float32)


def test_the_thresholds_are_inclusive_and_the_band_between_is_ignored() -> None:
    below = np.nextafter(np.float32(0.5), np.float32(0))
    assert label_map(row(0.0, below, 0.5, 0.55, 0.6, 1.0), [3], 0.6, 0.5).tolist() == [[0, 0, IGNORE, IGNORE, 3, 3]]


def test_of_equals_the_first_word_wins() -> None:
    maps = np.concatenate([row(0.7, 0.7, 0.2), row(0.7, 0.8, 0.9)])
    assert label_map(maps, [1, 2], 0.6, 0.5).tolist() == [[1, 2, 2]]
    assert label_map(maps[::-1], [2, 1], 0.6, 0.5).tolist() == [[2, 2, 2]]


def test_repeated_classes_are_maps_of_their_own_with_one_id() -> None:
    maps = np.concatenate([row(0.9, 0.1, 0.1), row(0.1, 0.9, 0.1)])
    assert label_map(maps, [4, 4], 0.6, 0.5).tolist() == [[4, 4, 0]]


def test_without_a_word_all_is_background() -> None:
    assert label_map(np.zeros((0, 2, 3), np.float32), [], 0.6, 0.5).tolist() == [[0, 0, 0]] * 2


def test_the_margin_ignores_pixels_that_two_classes_claim_and_no_others() -> None:
    maps = np.concatenate([row(0.9, 0.9, 0.4, 0.7), row(0.8, 0.1, 0.4, 0.7), row(0.9, 0.1, 0.1, 0.1)])
    assert label_map(maps, [1, 2, 1], 0.6, 0.5).tolist() == [[1, 1, 0, 1]]
    assert label_map(maps, [1, 2, 1], 0.6, 0.5, margin=0.2).tolist() == [[IGNORE, 1, 0, IGNORE]]


def test_enlarging_does_not_clamp_and_keeps_what_is_of_that_size() -> None:
    maps = np.zeros((1, 4, 4), np.float32)
    maps[0, 1:3, 1:3] = 1
    large = enlarged(maps, (16, 24, 3))
    assert large.shape == (1, 16, 24) and large.max() > 1 and large.min() < 0
    assert np.allclose(enlarged(maps, (4, 4)), maps, atol=1e-6)


def test_a_mirrored_picture_has_the_mirrored_mask() -> None:
    maps = np.random.default_rng(0).random((3, 8, 8), np.float32)
    label = label_map(enlarged(maps, (32, 32)), [1, 2, 3], 0.6, 0.5)
    mirrored = label_map(enlarged(np.ascontiguousarray(maps[..., ::-1]), (32, 32)), [1, 2, 3], 0.6, 0.5)
    assert (label[:, ::-1] != mirrored).mean() < 0.002  # bicubic sums run the other way round
