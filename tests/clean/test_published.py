"""Preset `ucg` against the published cleaner, re-computed mask by mask from its definitions, on a zoo of all kinds."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from stages.clean.presets import PRESETS
from stages.clean.rules import judge
from stages.clean.table import Table
from stages.parts.masks import scores
from tests.parts.masks.test_scores import (
    ZOO,
    block,
    disc,
    published_energy,
    published_lower_half,
    published_smoothness,
    ragged,
    speckled,
)

Mask = NDArray[np.bool_]


def zoo() -> Iterator[Mask]:
    """More than 200: discs, rectangles, ragged, speckled, of several parts, at the border, empty and full."""
    yield from ZOO.values()
    for n in range(40):
        rng = np.random.default_rng(n)
        top, left = rng.integers(0, 60, 2)
        yield block(top, top + int(rng.integers(1, 64)), left, left + int(rng.integers(1, 64)))
        yield ragged(float(rng.uniform(0.8, 4)), float(rng.uniform(0.5, 8)), n + 10)
        yield speckled(float(rng.uniform(0.01, 0.99)), n + 10)
        two = disc(int(rng.integers(3, 20)), 96)
        yield two | np.roll(disc(int(rng.integers(2, 12)), 96), (int(rng.integers(-40, 40)), 40), (0, 1))
        blob = cv2.GaussianBlur(rng.standard_normal((80, 120)), (0, 0), 6)
        yield blob > np.quantile(blob, rng.uniform(0.2, 0.95))


def published_keeps(mask: Mask) -> bool:
    """The four conditions of the published script; any exception skips the sample."""
    return bool(
        mask.mean() <= 0.40
        and published_lower_half(mask) <= 0.85
        and published_smoothness(mask) >= 1
        and published_energy(mask) <= 50
    )


MASKS = list(zoo())
COLUMNS = ("area", "lower_half", "smoothness", "energy")


def table(masks: list[Mask]) -> Table:
    measured = [scores.shape(mask) for mask in masks]
    columns = {column: np.array([one[column] for one in measured], dtype=np.float64) for column in COLUMNS}
    uids = [f"bus-{k:06d}" for k in range(len(masks))]
    return Table(uids, [""] * len(masks), columns, np.zeros(len(masks), np.uint64), np.zeros(len(masks), bool))


def test_decisions_are_those_of_the_published_script_on_every_mask() -> None:
    verdicts = judge(table(MASKS), PRESETS["ucg"])
    kept = [not reason for reason in verdicts.reasons]
    assert len(MASKS) >= 200
    assert kept == [published_keeps(mask) for mask in MASKS]
    assert all(rows.any() for rows in verdicts.first.values()), "a rule that never fires here would prove nothing"
    assert 20 < sum(kept) < len(kept) - 20


def test_decisions_on_a_fixed_set_are_pinned() -> None:
    fixed = {
        "disc": disc(40, 128), "speck of 10 x 10": block(5, 15, 5, 15, side=128), "full": np.ones((64, 64), bool),
        "empty": np.zeros((64, 64), bool), "lower half": block(40, 64, 10, 50), "two parts": ZOO["two parts"],
        "ragged": ragged(1, 3, 0), "comb": ZOO["comb"], "three borders": block(0, 20, 0, 64),
    }  # fmt: skip
    found = dict(zip(fixed, judge(table(list(fixed.values())), PRESETS["ucg"]).reasons, strict=True))
    assert found == {
        "disc": "", "speck of 10 x 10": "", "full": "large", "empty": "uneven", "lower half": "low", "two parts": "",
        "ragged": "ragged", "comb": "large", "three borders": "",
    }  # fmt: skip


@pytest.mark.parametrize("mask", [np.zeros((64, 64), bool), np.ones((64, 64), bool)])
def test_an_empty_and_a_full_mask_have_every_score(mask: Mask) -> None:
    assert all(np.isfinite(list(scores.shape(mask).values())))
