"""What happens around an iteration: teacher, seeding, loss curve, progress bar, checkpoint."""

from __future__ import annotations

import contextlib
import errno
import math
import pickle
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from mmengine import dist
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from mmseg.registry import HOOKS
from torch import nn
from tqdm import tqdm

from stages.parts.errors import GraftError
from stages.parts.learning.switches import EmaAt
from stages.parts.store.atomic import renamed
from stages.parts.store.streams import draw_stream

CHECKPOINT = "checkpoint.pth"
TORN = (OSError, EOFError, RuntimeError, ValueError, LookupError, pickle.UnpicklingError)  # what torch.load raises
Curve = list[dict[str, float]]


def ema_decay(iteration: int, ema: float) -> float:
    """alpha_t = min(1 - 1/(t + 1), ema); 0 at t = 0, so that the teacher begins as a copy of the student."""
    return min(1 - 1 / (iteration + 1), ema)


def ema_update(teacher: Iterable[nn.Parameter], student: Iterable[nn.Parameter], decay: float) -> None:
    """teacher <- decay * teacher + (1 - decay) * student, in place."""
    with torch.no_grad():
        for slow, fast in zip(teacher, student, strict=True):
            slow.lerp_(fast, 1 - decay)


@HOOKS.register_module()
class MeanTeacher(Hook):
    """Update the teacher (Tarvainen and Valpola 2017): its parameters by the average; its buffers are the student's
    if its batch norm goes by running statistics, else they are not looked at.

    at: the start of each iteration, as published, or its end, after the optimiser's step. At the start of the first
    it becomes a copy of the student; a teacher that is updated at the end is one already. On every rank alike: the
    students are equal, so nothing is sent.
    """

    def __init__(self, ema: float, at: EmaAt = "start") -> None:
        self.ema, self.at = ema, at

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        if self.at == "start":
            self._update(runner, ema_decay(runner.iter, self.ema))

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: dict[str, Any] | None = None
    ) -> None:
        if self.at == "end":
            self._update(runner, ema_decay(runner.iter + 1, self.ema))

    def _update(self, runner: Runner, decay: float) -> None:
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        ema_update(model.teacher.parameters(), model.student.parameters(), decay)
        if model.teacher_norm == "running":
            for buffer, students in zip(model.teacher.buffers(), model.student.buffers(), strict=True):
                buffer.copy_(students)


@HOOKS.register_module()
class SeedEachIteration(Hook):
    """Seed torch by (seed, iteration): a resumed run drops out what an undisturbed one drops out."""

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        torch.manual_seed(int(draw_stream(runner.seed, runner.iter, "dropout").integers(2**63)))


@HOOKS.register_module()
class LossCurve(Hook):
    """Keep the losses of every iteration, resumed ones too; stop at a loss that is no number; show progress.

    section: of params.yaml, which the GraftError names."""

    def __init__(self, section: str) -> None:
        self.section = section
        self.curve: Curve = []
        self.bar: tqdm | None = None

    def before_train(self, runner: Runner) -> None:
        hidden = not dist.is_main_process()
        self.bar = tqdm(total=runner.max_iters, initial=runner.iter, desc="train", unit="iter", disable=hidden)

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: dict[str, Any] | None = None
    ) -> None:
        losses = {name: _mean_of_ranks(value) for name, value in (outputs or {}).items()}
        if not all(map(math.isfinite, losses.values())):
            raise GraftError(
                f"the loss of iteration {runner.iter} is no finite number; "
                f"lower {self.section}.lr or raise {self.section}.warmup in params.yaml"
            )
        self.curve.append({"iter": runner.iter} | losses)
        if self.bar is not None:
            self.bar.set_postfix(loss=f"{losses['loss']:.3f}", refresh=False)
            self.bar.update()

    def close(self) -> None:
        """Leave the bar as it stands: what is printed next begins on a line of its own."""
        if self.bar is not None:
            self.bar.close()

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        checkpoint["curve"] = self.curve

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        self.curve = checkpoint["curve"]


@HOOKS.register_module()
class Checkpoint(Hook):
    """One file to resume from, replaced whole: mmengine's hook deletes the old one before it writes the new."""

    priority = "VERY_LOW"  # after the loss curve and the learning rate have moved on

    def __init__(self, interval: int) -> None:
        self.interval = interval

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: dict[str, Any] | None = None
    ) -> None:
        if self.every_n_train_iters(runner, self.interval) and not self.is_last_train_iter(runner):
            unfinished, whole = (Path(runner.work_dir, name) for name in ("unfinished.pth", CHECKPOINT))
            with renamed(unfinished, whole) if dist.is_main_process() else contextlib.nullcontext():
                runner.save_checkpoint(runner.work_dir, unfinished.name, by_epoch=False)

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        checkpoint["message_hub"]["log_scalars"] = {}  # pickled objects: without them the file loads as weights only


def resumable(checkpoint: Path) -> bool:
    """Whether there is one to go on from. One that a power cut tore is told of, and the next will replace it."""
    if not checkpoint.exists():
        return False
    try:
        torch.load(checkpoint, map_location="cpu", weights_only=True)
    except TORN as error:
        if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
            raise  # the disk refuses to read what may be whole
        print(f"{checkpoint} is damaged; the training begins anew", file=sys.stderr)
        return False
    return True


def _mean_of_ranks(value: torch.Tensor) -> float:
    """So that a loss which is no number on one rank stops them all."""
    value = value.detach().clone()
    dist.all_reduce(value, "mean")
    return value.item()
