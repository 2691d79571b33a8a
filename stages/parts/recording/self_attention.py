"""OVAM's self-attention term: how much attention each pixel gets from all the others.

Marcos-Manchón et al. (CVPR 2024), section 3.4. With P = softmax(Q K^T / sqrt(d)) of the self-attention layers of
the latent's own size,

    s_j = mean_{t,l,h,i} P_ij     the attention that pixel j receives, over calls, layers, heads and queries
    SA  = m + (1 - m) (s - min s) / (max s - min s)     rescaled to [m, 1]

and SA multiplies the map of a word. (The published code sums P over j instead, which gives 1 at every pixel.)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from stages.parts.recording.pairwise import slices
from stages.parts.recording.recorder import Layer, Size, Tap, branch_rows, own_taps
from stages.parts.recording.sampling import Branch


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
