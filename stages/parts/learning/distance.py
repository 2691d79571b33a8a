"""Thing-class feature distance (DAFormer, section 3.3): stay near the features that the encoder came with."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmengine import dist
from torch import Tensor

from stages.parts.datasets.labels import IGNORE


def thing_cells(label: Tensor, size: Sequence[int], classes: Sequence[int], ratio: float, num_classes: int) -> Tensor:
    """Label (B, H, W) -> (B, *size) bool: cells of which one of the classes fills at least `ratio`.

    H and W are multiples of the size. Ignored pixels count as a class of their own: they dilute.
    """
    ids = torch.where(label == IGNORE, num_classes, label)
    one_hot = F.one_hot(ids, num_classes + 1).permute(0, 3, 1, 2).float()
    patch = label.shape[1] // size[0], label.shape[2] // size[1]
    share, winner = F.avg_pool2d(one_hot, patch).max(dim=1)
    return (share >= ratio) & torch.isin(winner, torch.tensor(list(classes), device=label.device))


def feature_distance(features: Tensor, reference: Tensor, cells: Tensor) -> Tensor:
    """Mean over the cells (B, H, W) bool of the Euclidean distance between (B, C, H, W) and (B, C, H, W).

    0, not NaN, without any cell. The mean is over the cells of all ranks: their mean number is what divides.
    """
    distance = torch.linalg.vector_norm(features - reference, dim=1)  # its slope at 0, where training starts, is 0
    count = cells.sum().float()
    dist.all_reduce(count, "mean")
    return (distance * cells).sum() / count.clamp(min=1e-6)
