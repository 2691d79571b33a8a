"""When what counts: the ramp of self-training, the drop of the learning rate, the optimiser (section 4.1)."""

from __future__ import annotations

import math
from typing import Any, Literal

from mmengine.optim import OptimWrapper
from torch import nn
from torch.optim import SGD, AdamW

Optimiser = Literal["adamw", "sgd"]
MOMENTUM = 0.9  # of SGD, as published


def ramp(epoch: float, length: float) -> float:
    """w(t) = exp(-5 (1 - min(t, T) / T)²), T = length; 1 from T on, and everywhere for T = 0 (equation 10)."""
    if not length:
        return 1.0
    return math.exp(-5.0 * (1.0 - min(epoch, length) / length) ** 2)


def first_low_epoch(milestone: int) -> int:
    """The first epoch, from 0 on, with a tenth of the learning rate. The published test is `epoch > milestone`: it
    drops one epoch after the milestone that its config names."""
    return milestone + 1


def learning_rate(iterations: int, power: float, epoch: int, milestone: int | None) -> list[dict[str, Any]]:
    """mmengine schedulers: (1 - t / iterations) ** power; or with a milestone a tenth from first_low_epoch on. epoch:
    iterations of one."""
    if milestone is None:
        return [{"type": "PolyLR", "power": power, "begin": 0, "end": iterations + 1, "by_epoch": False}]
    drop = first_low_epoch(milestone) * epoch
    return [{"type": "MultiStepLR", "milestones": [drop], "gamma": 0.1, "by_epoch": False}]


def optimiser(
    student: nn.Module, encoder: nn.Module, kind: Optimiser, lr: float, encoder_lr: float, decay: float, clip: float
) -> OptimWrapper:
    """AdamW, or SGD with momentum 0.9 as published, on what of the student may learn; the encoder at `encoder_lr` times
    `lr`; gradients clipped to this norm, 0 for none."""
    inside = {id(parameter) for parameter in encoder.parameters()}
    groups: list[dict[str, Any]] = []
    for within, rate in ((False, lr), (True, lr * encoder_lr)):
        part = [p for p in student.parameters() if p.requires_grad and (id(p) in inside) == within]
        if part:
            groups.append({"params": part, "lr": rate})
    made = AdamW(groups, weight_decay=decay) if kind == "adamw" else SGD(groups, momentum=MOMENTUM, weight_decay=decay)
    return OptimWrapper(made, clip_grad={"max_norm": clip} if clip else None)
