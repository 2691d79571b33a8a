"""The mask of masked image consistency (MIC, Hoyer et al. 2023)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor


def block_mask(size: Sequence[int], block: int, ratio: float, rng: np.random.Generator) -> Tensor:
    """Size (H, W) -> (H, W) float: each of round(H / block) x round(W / block) blocks is 0 with this chance, else 1."""
    grid = [max(1, round(side / block)) for side in size]
    kept = torch.from_numpy(rng.random(grid) > ratio).float()
    return F.interpolate(kept[None, None], tuple(size), mode="nearest")[0, 0]
