"""The ring of doubt, and the alpha edge within it."""

from __future__ import annotations

import numpy as np

from stages.parts.masks.doubt import alpha, doubted, ring
from tests.refine.drawings import block


def test_the_ring_lies_on_both_sides_of_the_edge() -> None:
    mask = block(20, 40, 20, 40)
    found = ring(mask, 2)
    assert found[20, 30] and found[18, 30] and not found[17, 30] and found[21, 30] and not found[22, 30]
    assert not ring(mask, 0).any()


def test_only_what_is_disputed_in_the_ring_is_doubt() -> None:
    mask, wider, far = block(20, 40, 20, 40), block(19, 40, 20, 40), block(0, 5, 0, 5) | block(20, 40, 20, 40)
    assert np.array_equal(doubted(mask, [wider, far], 2), block(19, 20, 20, 40))
    assert not doubted(mask, [mask], 2).any()


def test_alpha_is_the_share_of_opinions_in_the_ring_and_hard_elsewhere() -> None:
    mask, wider = block(20, 40, 20, 40), block(19, 40, 20, 40)
    found = alpha(mask, [wider], 2)
    assert (found[19, 30], found[20, 30], found[30, 30], found[0, 0]) == (128, 255, 255, 0)
    assert np.array_equal(alpha(mask, [wider], 0), mask * np.uint8(255))
