"""Pseudo-labels and ClassMix: DACS (Tranheden et al. 2021), the self-training under DAFormer, HRDA and MIC."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from mmengine import dist
from torch import Tensor

from stages.parts.datasets.labels import IGNORE
from stages.parts.learning.switches import Per

Margin = tuple[int, int, int, int]  # top, bottom, left, right, in pixels


def pseudo_label(logits: Tensor, threshold: float, per: Per = "batch") -> tuple[Tensor, Tensor]:
    """Logits (B, C, H, W) -> labels (B, H, W) int64, and q: the share of pixels at least `threshold` sure.

    q is () for the whole batch, over all ranks, as in the published code; its paper writes one per image: (B, 1, 1).
    """
    probability, label = logits.softmax(dim=1).max(dim=1)
    sure = (probability >= threshold).float()
    if per == "image":
        return label, sure.mean(dim=(1, 2), keepdim=True)
    quality = sure.mean()
    dist.all_reduce(quality, "mean")
    return label, quality


def inside(margin: Margin, shape: tuple[int, int], box: Sequence[int] | None = None) -> Tensor:
    """(H, W) float, 0 on the margin (top, bottom, left, right in pixels) of an image, 1 within.

    Cityscapes' rectification leaves artefacts at the border, and the car's bonnet fills the lowest rows. With a
    box (row, col, height, width) it is that crop of the image's map.
    """
    top, bottom, left, right = margin
    weight = torch.zeros(shape)
    weight[top : max(0, shape[0] - bottom), left : max(0, shape[1] - right)] = 1
    if box is None:
        return weight
    row, col, height, width = box
    return weight[row : row + height, col : col + width]


def batch_classes(label: Tensor) -> Tensor:
    """Labels (B, H, W) of this rank -> the classes of the joint batch, of all ranks, ascending; 255 among them."""
    present = label.new_zeros(256)
    present[torch.unique(label)] = 1
    dist.all_reduce(present, "max")
    return present.nonzero().flatten()


def class_mix(label: Tensor, rng: np.random.Generator, batch: Tensor | None = None) -> Tensor:
    """Label (H, W) -> mask (H, W) bool of half of its classes, rounded up (Olsson et al. 2021).

    Never 255; nothing where all is 255. With the classes of a whole batch it is as in the published code: drawn from
    these, 255 among them, so that one image may give all of its classes and another none.
    """
    classes = (torch.unique(label[label != IGNORE]) if batch is None else batch).cpu().numpy()
    chosen = rng.choice(classes, (len(classes) + 1) // 2, replace=False) if len(classes) else classes
    return torch.isin(label, torch.from_numpy(chosen).to(label.device))


def mixed_target(mask: Tensor, label: Tensor, pseudo: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """What a mixed image should be predicted as: labels (B, H, W), and the weight of each pixel.

    Within the mask the source's label, weight 1; elsewhere the pseudo-label and its weight (broadcast).
    """
    return torch.where(mask, label, pseudo), torch.where(mask, torch.ones_like(weight), weight)
