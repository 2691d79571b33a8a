"""The learning rate against the published one, the optimiser's groups, the teacher's average."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from mmengine.optim import LinearLR, PolyLR
from torch import nn

from stages.parts.errors import GraftError
from stages.parts.learning.hooks import LossCurve, MeanTeacher, ema_decay, ema_update
from stages.parts.learning.optimisation import adamw, learning_rate
from stages.parts.learning.switches import TeacherNorm

SCHEDULERS = {"LinearLR": LinearLR, "PolyLR": PolyLR}


def multipliers(warmup: int, iterations: int, at: list[int]) -> list[float]:
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    schedulers = []
    for config in learning_rate(warmup, iterations):
        options = {name: value for name, value in config.items() if name != "type"}
        schedulers.append(SCHEDULERS[config["type"]](optimizer, **options))
    rates = []
    for _ in range(max(at) + 1):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        for scheduler in schedulers:
            scheduler.step()
    return [rates[iteration] for iteration in at]


def test_learning_rate_is_that_of_the_published_methods():
    """The values of mmcv 1.x (DAFormer); mmseg's SegFormer recipe has 1.0 at 1500 and 0.779 at 10000."""
    rates = multipliers(1500, 40000, [0, 100, 1500, 10000, 20000, 39999])
    assert rates == pytest.approx([1e-6, 0.06650, 0.96250, 0.75, 0.5, 1 / 40000], abs=1e-6)


def test_learning_rate_without_warmup_only_decays():
    assert multipliers(0, 10, [0, 5, 9]) == pytest.approx([1.0, 0.5, 0.1])


def test_norms_and_biases_do_not_decay():
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    groups = adamw(model, 0.1, 0.01).optimizer.param_groups
    assert [(len(group["params"]), group["weight_decay"]) for group in groups] == [(1, 0.01), (3, 0.0)]


def test_an_encoder_that_comes_trained_learns_at_its_own_rate():
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Conv2d(4, 2, 1))
    groups = adamw(model, 0.1, 0.01, encoder=model[0], encoder_lr=0.3).optimizer.param_groups
    rates = {id(parameter): group["lr"] for group in groups for parameter in group["params"]}
    assert [rates[id(parameter)] for parameter in model.parameters()] == pytest.approx([0.03, 0.03, 0.1, 0.1])


def test_ema_decay_is_0_at_first_and_bounded_by_ema():
    assert [ema_decay(t, 0.99) for t in (0, 1, 3, 98, 99, 5000)] == [0, 0.5, 0.75, 1 - 1 / 99, 0.99, 0.99]


def test_the_teacher_starts_as_a_copy_and_follows():
    teacher, student = nn.Parameter(torch.tensor([8.0])), nn.Parameter(torch.tensor([1.1]))
    ema_update([teacher], [student], ema_decay(0, 0.99))
    assert torch.equal(teacher, student)  # exactly
    student.data.fill_(0.1)
    ema_update([teacher], [student], ema_decay(3, 0.99))
    assert teacher.item() == pytest.approx(0.75 * 1.1 + 0.25 * 0.1)
    assert teacher.grad is None


class Pair(nn.Module):
    teacher_norm = "batch"

    def __init__(self) -> None:
        super().__init__()
        self.student, self.teacher = nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False)


class Iteration:
    """What MeanTeacher asks of a runner."""

    def __init__(self, number: int) -> None:
        self.iter = number
        self.model: Any = Pair()
        self.model.student.weight.data.fill_(1.0)
        self.model.teacher.weight.data.fill_(0.0)

    def after(self, hook: MeanTeacher) -> list[float]:
        """The teacher's weight after the iteration's start, and after its end; a step takes the student to 2."""
        hook.before_train_iter(self, 0)
        start = self.model.teacher.weight.item()
        self.model.student.weight.data.fill_(2.0)
        hook.after_train_iter(self, 0)
        return [start, self.model.teacher.weight.item()]


def test_the_teacher_follows_at_the_start_of_an_iteration_or_at_its_end():
    assert Iteration(0).after(MeanTeacher(0.99)) == [1.0, 1.0]  # a copy of the student that has not learned yet
    assert Iteration(3).after(MeanTeacher(0.99)) == [0.25, 0.25]
    assert Iteration(3).after(MeanTeacher(0.99, "end")) == pytest.approx([0.0, 2 / 5])  # 1 - 1/5 of itself


class Normed(nn.Module):
    def __init__(self, teacher_norm: TeacherNorm) -> None:
        super().__init__()
        self.teacher_norm = teacher_norm
        self.student, self.teacher = nn.BatchNorm2d(2), nn.BatchNorm2d(2)
        self.student.running_mean, self.student.running_var = torch.tensor([1.0, 2.0]), torch.tensor([3.0, 4.0])


@pytest.mark.parametrize(("norm", "mean", "var"), [("running", [1, 2], [3, 4]), ("batch", [0, 0], [1, 1])])
def test_a_teacher_that_normalises_by_running_statistics_has_the_students(norm, mean, var):
    iteration = Iteration(5)
    iteration.model = Normed(norm)
    MeanTeacher(0.99).before_train_iter(iteration, 0)
    assert iteration.model.teacher.running_mean.tolist() == mean
    assert iteration.model.teacher.running_var.tolist() == var


def test_layer_norms_alone_do_not_decay_in_daformer():
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.LayerNorm(4), nn.BatchNorm2d(4))
    groups = adamw(model, 0.1, 0.01, no_decay="layer_norm").optimizer.param_groups
    assert [(len(group["params"]), group["weight_decay"]) for group in groups] == [(4, 0.01), (2, 0.0)]


class Run:
    """What LossCurve asks of a runner."""

    iter, max_iters = 7, 10


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_loss_that_is_no_number_stops_the_run_with_a_sentence(value):
    hook = LossCurve("train")
    hook.before_train(Run)
    with pytest.raises(GraftError, match=r"iteration 7 .* train\.lr"):
        hook.after_train_iter(Run, 0, None, {"loss": torch.tensor(value)})
