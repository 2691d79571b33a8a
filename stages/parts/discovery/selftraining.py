"""The segmentor that trains: basic's two losses, and EUMS's three with its teacher (sections 3.3 to 3.5)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from mmseg.models import EncoderDecoder
from mmseg.models.utils import resize
from mmseg.registry import HOOKS, MODELS
from torch import Tensor
from torch.nn import functional as F

from stages.parts.datasets.labels import IGNORE
from stages.parts.discovery.schedule import ramp
from stages.parts.discovery.views import jittered
from stages.parts.learning.hooks import ema_update
from stages.parts.learning.teacher import Samples, TeacherStudent, stream_of

UNLABELLED = "unclean"


class Amounts(NamedTuple):
    """Of colour jitter: of brightness, contrast and saturation, and of hue."""

    amount: float
    hue: float


NONE = Amounts(0.0, 0.0)


@MODELS.register_module()
class ClassDiscovery(TeacherStudent):
    """loss() gives L_base, L_novel, L_clean and w L_unclean, of the branches that a batch has [2.4, 2.6].

    halve       the mean of the supervised losses instead of their sum, as the published code
    eta         pixels of an online label below this probability are ignored [2.6: 0]
    weak, strong   jitter of the labelled and of the teacher's view, and of the student's view of unclean pictures
    weight      the number of the iteration -> w(t)
    noisy       the teacher's decoder in train mode, dropout and batch norm by its own batch, as published
    """

    def __init__(
        self,
        student: EncoderDecoder,
        taught: bool = False,
        *,
        halve: bool = False,
        eta: float = 0.0,
        weak: Amounts = NONE,
        strong: Amounts = NONE,
        weight: Callable[[int], float] = lambda iteration: 1.0,
        noisy: bool = False,
    ) -> None:
        super().__init__(student, taught, "running")
        self.halve, self.eta, self.weak, self.strong, self.weight = halve, eta, weak, strong, weight
        self.noisy, self.iteration = noisy, 0

    def train(self, mode: bool = True) -> ClassDiscovery:
        super().train(mode)
        if self.teacher is not None and self.noisy:
            self.teacher.decode_head.train(mode)
        return self

    def loss(self, inputs: dict[str, Tensor], data_samples: dict[str, Samples]) -> dict[str, Tensor]:
        labelled = [branch for branch in inputs if branch != UNLABELLED]
        share = 1 / len(labelled) if self.halve else 1.0
        losses: dict[str, Tensor] = {}
        for branch in labelled:
            samples = data_samples[branch]
            label = torch.stack([sample.gt_sem_seg.data[0] for sample in samples])
            view = self.jittered(inputs[branch], samples, f"{branch} jitter", self.weak)
            losses[f"{branch}.loss"] = share * mean_cross_entropy(self.logits(view), label)
        if UNLABELLED in inputs:
            images, samples = inputs[UNLABELLED], data_samples[UNLABELLED]
            with torch.no_grad():
                seen = self.teach(self.jittered(images, samples, "teacher jitter", self.weak))
                label = online_label(seen, self.eta)
            view = self.jittered(images, samples, "student jitter", self.strong)
            losses[f"{UNLABELLED}.loss"] = self.weight(self.iteration) * mean_cross_entropy(self.logits(view), label)
        return losses

    def logits(self, images: Tensor) -> Tensor:
        """The student's (B, C, H, W)."""
        images = images.contiguous(memory_format=torch.channels_last)
        found = self.student.decode_head(self.student.extract_feat(images))
        return resize(found, images.shape[2:], mode="bilinear", align_corners=False)

    def jittered(self, images: Tensor, samples: Samples, purpose: str, amounts: Amounts) -> Tensor:
        """Normalised images, jittered in [0, 1] and normalised again."""
        if amounts == NONE:
            return images
        mean, std = self.student.data_preprocessor.mean, self.student.data_preprocessor.std
        pixels = ((images * std + mean) / 255).clamp(0, 1)
        return (jittered(pixels, [stream_of(one, purpose) for one in samples], *amounts) * 255 - mean) / std


def online_label(logits: Tensor, eta: float) -> Tensor:
    """(B, C, H, W) -> (B, H, W) int64: the best class, 255 where its probability is below eta (strict)."""
    probability, label = logits.softmax(dim=1).max(dim=1)
    return torch.where(probability < eta, IGNORE, label)


def mean_cross_entropy(logits: Tensor, label: Tensor) -> Tensor:
    """Logits (B, C, H, W), labels (B, H, W) int64 -> the mean over the pixels that are not 255; 0 where all are."""
    flat = logits.permute(0, 2, 3, 1).flatten(0, 2)  # on a GPU this has a deterministic kernel, (B, C, H, W) has none
    total = F.cross_entropy(flat, label.flatten(), ignore_index=IGNORE, reduction="sum")
    return total / (label != IGNORE).sum().clamp(min=1)


def ramp_weight(epoch: int, length: float) -> Callable[[int], float]:
    """The number of an iteration -> w(t), t the epoch that it is in; epoch: iterations of one."""
    return lambda iteration: ramp(iteration // epoch, length)


@HOOKS.register_module()
class ConstantTeacher(Hook):
    """θ_t <- m θ_t + (1 - m) θ_s before the teacher labels; m constant [2.6]. It tells the model the iteration, too.

    As published of parameters alone, for the teacher's norms go by its own batches; a teacher in evaluation mode has
    the student's buffers."""

    def __init__(self, momentum: float) -> None:
        self.momentum = momentum

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        model.iteration = runner.iter
        if model.teacher is not None:
            ema_update(model.teacher.parameters(), model.student.parameters(), self.momentum)
            if not model.noisy:
                for buffer, students in zip(model.teacher.buffers(), model.student.buffers(), strict=True):
                    buffer.copy_(students)


@HOOKS.register_module()
class Reassign(Hook):
    """Once, before the iteration `at`, calls `act`, which splits the clean pictures anew and gives the uids that stay
    clean; `put` is told of them, here and when a training that was stopped goes on [2.6]."""

    def __init__(self, at: int, act: Callable[[], list[str]], put: Callable[[list[str]], None]) -> None:
        self.at, self.act, self.put = at, act, put
        self.stay: list[str] | None = None

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        if runner.iter + 1 == self.at:
            self.stay = self.act()
            self.put(self.stay)

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        checkpoint["clean"] = self.stay

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        self.stay = checkpoint["clean"]
        if self.stay is not None:
            self.put(self.stay)
