"""PriMaPs-EM's arithmetic: heads, losses, the E-step's labels, and how fast the teacher follows.

Hahn et al., TMLR 2024, section 3.2.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from stages.parts.datasets.labels import IGNORE


class Head(nn.Module):
    """Prototypes: logit_k = g_k <v_k / |v_k|, f>, a weight-normed 1x1 convolution without bias; v (K, C), g (K,)."""

    def __init__(self, v: Tensor, g: Tensor | None = None) -> None:
        super().__init__()
        self.v = nn.Parameter(v.clone())
        self.g = nn.Parameter(torch.ones(len(v)) if g is None else g.clone())

    def weight(self) -> Tensor:
        """(K, C)"""
        return self.g[:, None] * F.normalize(self.v, dim=1)

    def forward(self, features: Tensor) -> Tensor:
        """(B, C, h, w) -> (B, K, h, w)."""
        return torch.einsum("kc,bchw->bkhw", self.weight(), features)


def principal_start(second: Tensor, mean: Tensor, cells: Tensor) -> Tensor:
    """The first K principal directions of all cells, (K, C) float32, unit rows. second: the mean of f f^T, (C, C);
    mean: (C,). There are C at most: with more prototypes the rest start from the last of `cells`, (K, C)."""
    vectors = torch.linalg.eigh(second - torch.outer(mean, mean))[1].flip(1).T
    return torch.cat([vectors[: len(cells)], F.normalize(cells[len(vectors) :] - mean, dim=1)]).float()


def cluster_loss(cosines: Tensor) -> Tensor:
    """Cosine k-means: - mean over cells of the largest cosine. (B, K, h, w) -> a float64 number."""
    return -cosines.double().amax(1).mean()


def class_focal_loss(logits: Tensor, target: Tensor, gamma: float) -> Tensor:
    """Cross-entropy, each class weighted by (1 - its mean probability)^gamma: a class's weight, not a pixel's.

    logits (B, K, H, W), target (B, H, W) int64 with 255 = ignored. The mean is over all pixels, an ignored one is 0."""
    probability = logits.detach().softmax(1).mean((0, 2, 3))
    loss = F.cross_entropy(logits, target, (1 - probability) ** gamma, ignore_index=IGNORE, reduction="none")
    return loss.mean()


def assigned(prediction: Tensor, ids: Tensor, clusters: int) -> Tensor:
    """E-step: each region takes the cluster that most of its pixels are in, the smallest among equals.

    prediction (B, H, W) int64 in 0..K-1; ids (B, H, W) int64 of regions, 255 = none -> (B, H, W) int64, 255 = none."""
    batch = torch.arange(len(ids), device=ids.device)[:, None, None] * (IGNORE + 1)
    counts = torch.bincount(
        ((batch + ids) * clusters + prediction).flatten(), minlength=len(ids) * (IGNORE + 1) * clusters
    ).reshape(-1, clusters)
    winners = torch.cat([one.argmax(1) for one in counts.split(IGNORE + 1)])
    return torch.where(ids == IGNORE, IGNORE, winners[batch + ids])


def decay_of(call: int, highest: float) -> float:
    """What the teacher keeps of itself at its call-th step, from 1 on: 1 - 1/n, at most `highest`. The first is a copy,
    and with 0.98 the first fifty are means of the student, of equal weight."""
    return min(highest, 1 - 1 / call)


@torch.no_grad()
def follow(teacher: Head, student: Head, call: int, highest: float) -> None:
    """The teacher's call-th step towards the student, on v and g."""
    for own, other in zip(teacher.parameters(), student.parameters(), strict=True):
        own.lerp_(other, 1 - decay_of(call, highest))


def said(weight: Tensor, bias: Tensor | None, features: Tensor, size: tuple[int, int]) -> Tensor:
    """A linear head's logits (B, K, H, W) of features (B, C, h, w), enlarged bilinearly: they are those of the enlarged
    features, at a fraction of the cost. weight (K, C), bias (K,) or None."""
    logits = torch.einsum("kc,bchw->bkhw", weight, features)
    fine = F.interpolate(logits, size, mode="bilinear", align_corners=False)
    return fine if bias is None else fine + bias[:, None, None]
