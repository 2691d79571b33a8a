"""When what counts in training [2.2, 2.6], against the published numbers."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from stages.parts.discovery.schedule import first_low_epoch, learning_rate, optimiser, ramp
from stages.parts.discovery.selftraining import ramp_weight
from stages.parts.discovery.views import jittered
from stages.parts.learning.hooks import ema_update
from stages.parts.store.streams import draw_stream

PUBLISHED = [0.00674, 0.0408, 0.1653, 0.4493, 0.8187, 1.0]


@pytest.mark.parametrize(("epoch", "weight"), enumerate(PUBLISHED))
def test_the_ramp_has_the_published_six_values(epoch: int, weight: float) -> None:
    assert ramp(epoch, 5) == pytest.approx(weight, abs=5e-5)
    assert ramp(epoch, 5) == pytest.approx(math.exp(-5 * (1 - min(epoch, 5) / 5) ** 2), abs=1e-12)


def test_the_ramp_stays_at_1_and_is_1_without_length() -> None:
    assert ramp(29, 5) == 1.0 and ramp(0, 0) == 1.0


def test_the_weight_of_an_iteration_is_that_of_its_epoch() -> None:
    weight = ramp_weight(40, 5)
    assert [weight(k) for k in (0, 39, 40, 199, 200)] == [ramp(0, 5), ramp(0, 5), ramp(1, 5), ramp(4, 5), 1.0]


@pytest.mark.parametrize(("milestone", "first"), [(25, 26), (15, 16)])
def test_the_learning_rate_drops_one_epoch_after_the_milestone(milestone: int, first: int) -> None:
    """The published test is `epoch > milestone`, epochs from 0 on."""
    assert first == first_low_epoch(milestone)
    assert next(epoch for epoch in range(60) if epoch > milestone) == first
    assert learning_rate(1200, 0.9, 40, milestone)[0]["milestones"] == [first * 40]


def test_without_a_milestone_the_decay_is_polynomial() -> None:
    (poly,) = learning_rate(100, 0.9, 40, None)
    assert (poly["type"], poly["power"]) == ("PolyLR", 0.9)


def test_the_encoder_learns_slower_and_what_is_frozen_not_at_all() -> None:
    encoder, head = nn.Linear(2, 2), nn.Linear(2, 2)
    network = nn.Sequential(encoder, head)
    head.bias.requires_grad_(False)
    for kind in ("adamw", "sgd"):
        groups = optimiser(network, encoder, kind, 0.1, 0.01, 1e-4, 0.0).optimizer.param_groups
        assert [(len(group["params"]), group["lr"]) for group in groups] == [(1, 0.1), (2, pytest.approx(0.001))]
    assert groups[0]["momentum"] == 0.9


def test_the_average_is_of_parameters_and_leaves_buffers() -> None:
    teacher, student = nn.BatchNorm1d(2), nn.BatchNorm1d(2)
    nn.init.constant_(student.weight, 3.0)
    student(torch.full((4, 2), 9.0))
    ema_update(teacher.parameters(), student.parameters(), 0.99)
    assert teacher.weight.tolist() == pytest.approx([1.02, 1.02])
    assert teacher.running_mean.tolist() == [0.0, 0.0]  # type: ignore[union-attr]


def test_jitter_of_nothing_is_nothing_and_a_pictures_own_whatever_the_batch() -> None:
    images = torch.rand(3, 3, 8, 8)

    def streams(*draws: int) -> list:
        return [draw_stream(0, draw, "jitter") for draw in draws]

    assert torch.equal(jittered(images, streams(0, 1, 2), 0.0, 0.0), images)
    whole = jittered(images, streams(0, 1, 2), 0.5, 0.25)
    assert whole.min() >= 0 and whole.max() <= 1 and not torch.allclose(whole, images, atol=0.05)
    assert torch.allclose(whole[1:2], jittered(images[1:2], streams(1), 0.5, 0.25), atol=1e-6)
