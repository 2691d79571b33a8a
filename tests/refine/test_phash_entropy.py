"""Perceptual hashes of alike pictures; the entropy of a segmenter's opinion."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from stages.parts.masks.scores import phash
from stages.refine.entropy import normalised


def test_alike_pictures_have_alike_hashes() -> None:
    image = np.random.default_rng(0).integers(0, 256, (8, 8, 3)).astype(np.uint8).repeat(8, 0).repeat(8, 1)
    other = np.random.default_rng(1).integers(0, 256, (8, 8, 3)).astype(np.uint8).repeat(8, 0).repeat(8, 1)

    def distance(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> int:
        return (int(phash(a), 16) ^ int(phash(b), 16)).bit_count()

    assert distance(image, np.clip(image.astype(int) + 9, 0, 255).astype(np.uint8)) <= 4
    assert distance(image, other) > 15
    assert len(phash(image)) == 16


def test_entropy_is_one_for_ignorance_and_zero_for_certainty() -> None:
    assert normalised(torch.full((5, 1, 1), 0.2, dtype=torch.float64)).item() == pytest.approx(1.0)
    assert normalised(torch.tensor([1.0, 0.0], dtype=torch.float64)[:, None, None]).item() == 0.0
    p = torch.tensor([0.75, 0.25], dtype=torch.float64)[:, None, None]
    assert normalised(p).item() == pytest.approx(-(0.75 * np.log2(0.75) + 0.25 * np.log2(0.25)))
