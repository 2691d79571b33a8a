"""What frozen features know: a linear classifier on them (pixels), and their nearest neighbours (pictures).

Caron et al. 2021, arXiv 2104.14294, section 4.1, measure self-supervised features by k nearest neighbours and a linear
classifier; a linear layer on patch features as in Oquab et al. 2023, arXiv 2304.07193, section 7.4.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from stages.parts.datasets.labels import IGNORE

NEIGHBOURS, HEAT = 20, 0.07
STEPS, BATCH, LR, DECAY = 600, 8, 1e-2, 1e-4

Maps = NDArray[np.float32]


def linear_probe(features: Maps, labels: NDArray[np.uint8], unseen: Maps, classes: int, seed: int = 0) -> NDArray:
    """Train a linear layer on features and say what it sees in others.

    features (N, C, h, w) float32; labels (N, H, W) uint8, ids below `classes`, 255 = ignore; unseen (M, C, h, w).
    Logits are brought to H x W bilinearly, in training as afterwards. -> (M, H, W) uint8 ids."""
    mean, spread = features.mean((0, 2, 3), keepdims=True), features.std((0, 2, 3), keepdims=True) + 1e-6
    known, size = torch.from_numpy((features - mean) / spread), labels.shape[1:]
    truth, rng = torch.from_numpy(labels.astype(np.int64)), np.random.default_rng(seed)
    layer = torch.nn.Conv2d(features.shape[1], classes, 1)
    torch.nn.init.zeros_(layer.weight)
    torch.nn.init.zeros_(layer.bias)  # type: ignore[arg-type]  # a layer has one unless it is told otherwise
    optimiser = torch.optim.AdamW(layer.parameters(), lr=LR, weight_decay=DECAY)
    for step in range(STEPS):
        for group in optimiser.param_groups:
            group["lr"] = LR * (1 - step / STEPS) ** 0.9
        picks = torch.from_numpy(rng.integers(len(known), size=BATCH))
        logits = F.interpolate(layer(known[picks]), size=size, mode="bilinear", align_corners=False)
        flat = logits.permute(0, 2, 3, 1).reshape(-1, classes)
        loss = F.cross_entropy(flat, truth[picks].reshape(-1), ignore_index=IGNORE)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    found = []
    with torch.no_grad():
        for each in np.array_split((unseen - mean) / spread, max(1, len(unseen) // 16)):
            logits = F.interpolate(layer(torch.from_numpy(each)), size=size, mode="bilinear", align_corners=False)
            found.append(logits.argmax(1).numpy().astype(np.uint8))
    return np.concatenate(found)


def neighbours_say(
    features: NDArray[np.float32], names: NDArray[np.int64], unseen: NDArray[np.float32], classes: int
) -> NDArray[np.int64]:
    """The class of each unseen picture by a vote of its NEIGHBOURS by cosine, the nearer the heavier.

    features (N, C), names (N,) ids below `classes`, unseen (M, C) -> (M,) ids."""
    mean = features.mean(0)
    known, asked = (F.normalize(torch.from_numpy(each - mean), dim=1) for each in (features, unseen))
    near = (asked @ known.T).topk(min(NEIGHBOURS, len(known)), dim=1)
    votes = torch.zeros(len(asked), classes)
    votes.scatter_add_(1, torch.from_numpy(names)[near.indices], (near.values / HEAT).exp())
    return votes.argmax(1).numpy()
