"""OVAM: the attention map of any text over the pixels of an image, summed up while the image is made.

Marcos-Manchón et al., Open-Vocabulary Attention Maps with Token Optimization (CVPR 2024), the definition of
the maps. With the queries Q of head h of cross-attention layer l at UNet call t, and the embedding X' of an
attribution text of n tokens,

    (1)  K' = W_K X'                        the keys of the attribution text, by the layer's own weights
    (2)  A  = softmax_n(Q K'^T / sqrt(d))   n probabilities per pixel; only these n tokens compete
    (3)  D  = sum_l Up( sum_h sum_t A )     Up: bilinear to the size of the largest layer

so that the n maps of D add up to T * sum_l heads_l at every pixel (3720 for the 31 calls that Stable
Diffusion 1.x makes of 30 PNDM steps). The published code keeps every query until the image is done, 4.7 GB
for 51 calls. The text is known before, so here only the sum over t and h is kept, one (n, h, w) array per
layer size.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from stages.parts.recording.recorder import (
    Layer,
    Size,
    Tap,
    branch_rows,
    layer_size,
    listening,
    scores,
    text_tap,
)
from stages.parts.recording.sampling import Branch


@dataclass
class Attribution:
    """The running sums of equation (3), one (B, n, h * w) float32 array per layer size (h, w).

    `mask` is (B, n) bool, the true tokens; `size` the latent's (height, width); `branch` the half of a guided
    batch whose queries count: `uncond` (the negative prompt's, as in UCG), `cond` (the prompt's), or `both`,
    which doubles T."""

    mask: Tensor
    size: Size
    branch: Branch
    sums: dict[Size, Tensor] = field(default_factory=dict)

    @torch.no_grad()
    def add(self, query: Tensor, key: Tensor, heads: int, scale: float) -> None:
        """Add one call of one layer: (rows, N, heads * d) queries, (B, n, heads * d) keys K'.

        ValueError unless rows is B (no guidance) or 2 B, and for an unconditional half that is not there."""
        size = layer_size(self.size, query.shape[-2])
        for rows in branch_rows(query, len(self.mask), self.branch):
            total = probabilities(rows, key, self.mask, heads, scale)
            self.sums[size] = self.sums[size] + total if size in self.sums else total

    def taps(self, layers: Mapping[str, Layer], embedding: Tensor) -> list[Tap]:
        """Listen to these layers for the text with this (B, n, c) embedding."""
        return [
            text_tap(layer, embedding, partial(self.add, heads=layer.heads, scale=layer.scale))
            for layer in layers.values()
        ]

    def maps(self) -> Tensor:
        """D: (B, n, h, w) float32 at the size of the largest layer, >= 0, zero at the tokens masked out.

        ValueError when no call was recorded."""
        if not self.sums:
            raise ValueError("no call of a cross-attention layer was recorded")
        largest = max(self.sums, key=lambda size: size[0] * size[1])
        layers = [_upsample(total.unflatten(2, size), largest) for size, total in self.sums.items()]
        return torch.stack(layers).sum(0)


@contextmanager
def record(
    layers: Mapping[str, Layer],
    embedding: Tensor,
    mask: Tensor,
    size: Size,
    branch: Branch,
    images_per_prompt: int = 1,
    steps: Collection[int] | None = None,
) -> Iterator[Attribution]:
    """Record the maps of `embedding` (B, n, c), `mask` (B, n) while a model with these `layers` is sampled.

    With k images per prompt there are k * B maps, in the pipeline's order: those of the first prompt first.
    `steps` picks model calls by number; all count by default."""
    embedding, mask = (rows.repeat_interleave(images_per_prompt, 0) for rows in (embedding, mask))
    attribution = Attribution(mask, size, branch)
    with listening(attribution.taps(layers, embedding), steps):
        yield attribution


def word_maps(maps: Tensor, words: Sequence[Sequence[int]]) -> Tensor:
    """(B, n, h, w) maps, the token indices of each row's word -> (B, h, w): the mean over a word's pieces."""
    return torch.stack([row[list(word)].mean(0) for row, word in zip(maps, words, strict=True)])


def probabilities(query: Tensor, key: Tensor, mask: Tensor, heads: int, scale: float) -> Tensor:
    """Equation (2) summed over the heads, in float32: (B, n, N)."""
    masked = scores(query, key, heads, scale).masked_fill(~mask.to(query.device)[:, None, None], -torch.inf)
    return masked.softmax(-1).sum(1).transpose(1, 2)


def _upsample(maps: Tensor, size: Size) -> Tensor:
    return F.interpolate(maps, size=size, mode="bilinear", align_corners=False)
