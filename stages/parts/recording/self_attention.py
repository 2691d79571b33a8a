"""OVAM's self-attention term: how much attention each pixel gets from all the others.

Marcos-Manchón et al. (CVPR 2024), section 3.4. With P = softmax(Q K^T / sqrt(d)) of the self-attention layers of
the latent's own size,

    s_j = mean_{t,l,h,i} P_ij     the attention that pixel j receives, over calls, layers, heads and queries
    SA  = m + (1 - m) (s - min s) / (max s - min s)     rescaled to [m, 1]

and SA multiplies the map of a word. (The published code sums P over j instead, which gives 1 at every pixel.)

P of 64 x 64 pixels and 8 heads has 134 million entries for one image. No method wants it whole: each slice of queries
is reduced before the next is computed, so the memory stays at SLICE entries whatever the size.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from stages.parts.recording.recorder import Layer, Size, Tap, branch_rows, own_taps, scores, split_heads
from stages.parts.recording.sampling import Branch

SLICE = 2**22  # entries of P at a time: 16 MB in float32


def slices(layer: Layer, query: Tensor, key: Tensor) -> Iterator[tuple[int, slice, Tensor]]:
    """(row, queries, P) of each slice of one call: (B, N, heads * d) queries and keys; P is (heads, q, N) float32."""
    q, k = (split_heads(tokens, layer.heads) for tokens in (query, key))
    length = max(1, SLICE // (layer.heads * k.shape[2]))
    for row in range(len(q)):
        for start in range(0, q.shape[2], length):
            part = slice(start, start + length)
            one = scores(q[row : row + 1, :, part], k[row : row + 1], layer.heads, layer.scale)
            yield row, part, one[0].softmax(-1)


@dataclass
class SelfAttention:
    """The running sum of s for `samples` images whose latents have this size (height, width)."""

    samples: int
    size: Size
    branch: Branch
    total: Tensor | None = None
    count: int = 0

    def taps(self, layers: Mapping[str, Layer]) -> list[Tap]:
        """Listen to these self-attention layers."""
        return [tap for layer in layers.values() for tap in own_taps(layer, partial(self.add, layer))]

    def add(self, layer: Layer, query: Tensor, key: Tensor) -> None:
        """Add one call of one layer; of another resolution than the latent's it changes nothing."""
        if query.shape[1] != self.size[0] * self.size[1]:
            return
        halves = zip(*(branch_rows(rows, self.samples, self.branch) for rows in (query, key)), strict=True)
        for q, k in halves:
            received = q.new_zeros(len(q), k.shape[1], dtype=torch.float32)
            for row, _, shares in slices(layer, q, k):
                received[row] += shares.sum((0, 1))
            self.total = received if self.total is None else self.total + received
            self.count += layer.heads * q.shape[1]

    def received(self) -> Tensor:
        """s: (B, h, w) float32, adding up to 1 over the pixels. ValueError when no call was recorded."""
        if self.total is None:
            raise ValueError("no call of a self-attention layer of the latent's size was recorded")
        return (self.total / self.count).unflatten(1, self.size)

    def factor(self, floor: float) -> Tensor:
        """SA: (B, h, w) float32 in [floor, 1]; 1 everywhere when s has no contrast."""
        s = self.received()
        low, high = s.amin((1, 2), keepdim=True), s.amax((1, 2), keepdim=True)
        spread = torch.where(high > low, (s - low) / (high - low).clamp(min=torch.finfo(s.dtype).tiny), 1.0)
        return floor + (1 - floor) * spread
