"""Colour jitter of a batch, each picture by its own stream: the published weak and strong views (section 3.4)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

LUMA = (0.299, 0.587, 0.114)
TURN = torch.tensor([[0.0, -1, 1], [1, 0, -1], [-1, 1, 0]]) / math.sqrt(3)  # generates rotations about the grey axis


def jittered(images: Tensor, streams: Sequence[np.random.Generator], amount: float, hue: float) -> Tensor:
    """(B, 3, H, W) RGB in [0, 1] -> the same: brightness, contrast and saturation by factors in 1 ± amount, then hues
    turned by ± hue turns about the grey axis. Amounts of 0 change nothing.

    In this order, where torchvision's ColorJitter draws one; for a batch at once, which is faster on a CPU."""
    if not amount and not hue:
        return images
    drawn = np.stack([rng.uniform(-1, 1, 4) for rng in streams]).astype(np.float32)
    brightness, contrast, saturation, turn = torch.from_numpy(drawn).to(images).T[..., None, None, None]
    images = (images * (1 + amount * brightness)).clamp(0, 1)
    mean = _grey(images).mean(dim=(2, 3), keepdim=True)
    images = (mean + (images - mean) * (1 + amount * contrast)).clamp(0, 1)
    grey = _grey(images)
    images = (grey + (images - grey) * (1 + amount * saturation)).clamp(0, 1)
    if not hue:
        return images
    angle = 2 * math.pi * hue * turn[:, :, 0]
    rotation = torch.eye(3).to(images) * angle.cos() + TURN.to(images) * angle.sin() + (1 - angle.cos()) / 3
    return torch.einsum("bij,bjhw->bihw", rotation, images).clamp(0, 1)


def _grey(images: Tensor) -> Tensor:
    return (images * images.new_tensor(LUMA)[:, None, None]).sum(dim=1, keepdim=True)
