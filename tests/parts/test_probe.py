"""A probe reads what features say and no more; saliency's measures by hand."""

from __future__ import annotations

import numpy as np
import pytest

from stages.parts.measure import probe
from stages.parts.measure.probe import linear_probe, neighbours_say
from stages.parts.measure.saliency import max_f, mean_absolute_error


def scene(rng: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Labels of three classes in 4 x 4 cells of 2 pixels, a row of them ignored, and features that say the class."""
    cells = rng.integers(3, size=(count, 4, 4))
    features = np.eye(3, dtype=np.float32)[cells].transpose(0, 3, 1, 2) + rng.normal(0, 0.05, (count, 3, 4, 4))
    labels = cells.repeat(2, axis=1).repeat(2, axis=2).astype(np.uint8)
    labels[:, 0] = 255
    return features.astype(np.float32), labels


def test_the_probe_finds_what_is_there_and_nothing_in_noise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "STEPS", 200)
    rng = np.random.default_rng(0)
    (features, labels), (unseen, truth) = scene(rng, 40), scene(rng, 10)
    found = linear_probe(features, labels, unseen, 3)
    assert found.shape == truth.shape and found.dtype == np.uint8
    known = truth != 255
    assert (found == truth)[known].mean() > 0.85  # what is between cells is interpolated
    noise = rng.normal(size=features.shape).astype(np.float32)
    blind = linear_probe(noise, labels, rng.normal(size=unseen.shape).astype(np.float32), 3)
    assert (blind == truth)[known].mean() < 0.5


def test_neighbours_vote_by_nearness() -> None:
    """Two clusters; a lone picture of class 0 beside the second cluster is outvoted there."""
    first, second = np.array([1.0, 0.0]), np.array([0.0, 1.0])
    features = np.array([first] * 30 + [second] * 30 + [second * 1.01], np.float32)
    names = np.array([0] * 30 + [1] * 30 + [0])
    assert neighbours_say(features, names, np.array([first, second], np.float32), 2).tolist() == [0, 1]


def test_max_f_and_error_by_hand() -> None:
    """Four pixels, one ignored: 0.9 and 0.4 are salient, 0.6 is not. At thresholds up to 0.4 all three are taken:
    precision 2 / 3, recall 1; from 0.6 to 0.9 only the first: precision 1, recall 1 / 2."""
    label, found = np.array([[1, 5, 0, 255]], np.uint8), np.array([[0.9, 0.4, 0.6, 1.0]], np.float32)
    low, high = 1.3 * (2 / 3) / (0.3 * 2 / 3 + 1), 1.3 * 0.5 / (0.3 + 0.5)
    assert max_f([found], [label]) == pytest.approx(max(low, high))
    assert mean_absolute_error([found], [label]) == pytest.approx((0.1 + 0.6 + 0.6) / 3, rel=1e-5)


def test_a_perfect_map_is_one_and_the_opposite_is_not() -> None:
    label = np.zeros((8, 8), np.uint8)
    label[2:5, 2:5] = 3
    perfect = (label > 0).astype(np.float32)
    assert max_f([perfect, perfect], [label, label]) == pytest.approx(1.0)
    assert mean_absolute_error([perfect], [label]) == 0
    assert max_f([1 - perfect], [label]) < 0.3
