"""Token optimisation: an embedding of a class, learned from one image and the mask of its object.

Marcos-Manchón et al. (CVPR 2024), section 3.5, in the settings of the paper's experiments. The embedding X' of two
tokens, background and object, starts from the start of text and the class word; with D(X') as in ovam.py,

    L = - mean_pixels log softmax(minmax(D))[truth]     minmax: over both maps at once, so logits lie in [0, 1]

is minimised by plain gradient descent, and the iterate of the lowest loss is kept. With logits in [0, 1] the loss
cannot fall below ln(1 + 1/e) = 0.3133. (In the published function the constant 3720 for normalising is an integer,
which its code takes for "minmax", and the last iterate is returned; the experiments keep the best.)

Here, and only here, the queries of a whole image are kept: 2.3 GB in float32 for 51 calls of Stable Diffusion 1.x.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor
from tqdm import trange

from stages.parts.recording.recorder import Layer, Size, Tap, branch_rows, layer_size, scores
from stages.parts.recording.sampling import Branch

LEARNING_RATE, STEPS = 100.0, 800
DECAY_EVERY, DECAY = 120, 0.7
FLOOR = 0.31326  # of the loss


@dataclass
class Queries:
    """The queries of one image, layer by layer: name -> one (1, N, heads * d) tensor per call and half."""

    layers: Mapping[str, Layer]
    size: Size
    branch: Branch
    kept: dict[str, list[Tensor]] = field(default_factory=dict)

    def taps(self) -> list[Tap]:
        """Listen to all the layers."""
        return [Tap(layer.query, partial(self._keep, name)) for name, layer in self.layers.items()]

    def _keep(self, name: str, query: Tensor) -> None:
        self.kept.setdefault(name, []).extend(branch_rows(query, 1, self.branch))

    def maps(self, embedding: Tensor) -> Tensor:
        """D of an embedding (n, c): (n, h, w) float32 at the latent's size, differentiable in the embedding."""
        total = torch.zeros((), device=embedding.device)
        for name, queries in self.kept.items():
            layer, rows = self.layers[name], torch.cat(queries)
            key = layer.project(embedding.to(rows.dtype)[None])
            shares = scores(rows, key, layer.heads, layer.scale).softmax(-1).sum((0, 1)).T
            maps = shares.unflatten(1, layer_size(self.size, shares.shape[1]))
            total = total + F.interpolate(maps[None], size=self.size, mode="bilinear", align_corners=False)[0]
        return total


@dataclass(frozen=True)
class Learned:
    """`embedding` (2, c) float32, background first; its loss, and the loss of what it started from."""

    embedding: Tensor
    loss: float
    first: float


def optimise(queries: Queries, start: Tensor, mask: Tensor, steps: int = STEPS) -> Learned:
    """Learn from an image's queries and the (H, W) bool mask of its object; `start` is (2, c), background first.

    ValueError for a mask that is empty or full: it shows no boundary."""
    if not mask.any() or mask.all():
        raise ValueError("the mask marks nothing, or everything")
    embedding = start.detach().float().clone().requires_grad_(True)
    descent = torch.optim.SGD([embedding], lr=LEARNING_RATE)
    decay = torch.optim.lr_scheduler.StepLR(descent, DECAY_EVERY, DECAY)
    truth = mask.long()[None].to(embedding.device)
    losses: list[float] = []
    best = embedding.detach().clone()
    for _ in trange(steps, desc="learning", unit="step"):
        loss = F.cross_entropy(_logits(queries.maps(embedding), mask.shape), truth)
        if not losses or float(loss) < min(losses):
            best = embedding.detach().clone()
        losses.append(float(loss))
        descent.zero_grad()
        loss.backward()
        descent.step()
        decay.step()
    return Learned(best, min(losses), losses[0])


def _logits(maps: Tensor, size: torch.Size) -> Tensor:
    """(2, h, w) maps -> (1, 2, H, W) in [0, 1]."""
    large = F.interpolate(maps[None], size=tuple(size), mode="bilinear", align_corners=False)
    low, high = large.min(), large.max()
    return (large - low) / (high - low).clamp(min=torch.finfo(large.dtype).tiny)
