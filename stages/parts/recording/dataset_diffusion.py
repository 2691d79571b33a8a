"""Dataset Diffusion's two maps: where the class words are (C), and which pixels belong together (S).

Nguyen et al., Dataset Diffusion: Diffusion-based Synthetic Dataset Generation for Pixel-Level Semantic Segmentation
(NeurIPS 2023). With the conditional half's queries Q, over all calls and all layers of one resolution (the middle
block's included), averaged over heads,

    C = mean softmax_77(Q K'^T / sqrt(d))    K': the keys of the class prompt, a text of its own, padded to 77
    S = mean softmax_N(Q K^T / sqrt(d))      of the pixels among themselves
    m = S^tau C_word                         the word's map, spread along S; tau = 4

Published are resolutions of 32 for S and 16 for C at a latent of 64: once and twice halved, which is what is
taken here of a latent of any size.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from stages.parts.recording.recorder import Layer, Size, Tap, branch_rows, layer_size, own_taps, scores, text_tap
from stages.parts.recording.self_attention import slices

POWER = 4
SELF_HALVINGS, CROSS_HALVINGS = 1, 2


@dataclass
class DatasetDiffusion:
    """The running sums of S and C for `samples` images whose latents have this size (height, width).

    `levels` is the number of times that the model halves its latent: a resolution that it lacks is replaced by
    its lowest."""

    samples: int
    size: Size
    levels: int
    sums: dict[str, Tensor] = field(default_factory=dict)
    heads: dict[str, int] = field(default_factory=dict)

    def taps(self, self_layers: Mapping[str, Layer], cross_layers: Mapping[str, Layer], embedding: Tensor) -> list[Tap]:
        """Listen for C of the class prompt with this (B, 77, c) embedding, and for S."""
        cross = [text_tap(layer, embedding, partial(self.add_cross, layer)) for layer in cross_layers.values()]
        pairs = [own_taps(layer, partial(self.add_self, layer)) for layer in self_layers.values()]
        return cross + [tap for pair in pairs for tap in pair]

    @property
    def self_size(self) -> Size:
        """(height, width) of S."""
        return _halved(self.size, min(SELF_HALVINGS, self.levels))

    @property
    def cross_size(self) -> Size:
        """(height, width) of C."""
        return _halved(self.size, min(CROSS_HALVINGS, self.levels))

    def add_cross(self, layer: Layer, query: Tensor, key: Tensor) -> None:
        """Add one call of a cross-attention layer; of another resolution than C's it changes nothing."""
        if layer_size(self.size, query.shape[1]) == self.cross_size:
            rows = branch_rows(query, self.samples, "cond")[0]
            self._add("C", scores(rows, key, layer.heads, layer.scale).softmax(-1).sum(1), layer.heads)

    def add_self(self, layer: Layer, query: Tensor, key: Tensor) -> None:
        """Add one call of a self-attention layer; of another resolution than S's it changes nothing."""
        if layer_size(self.size, query.shape[1]) == self.self_size:
            query, key = (branch_rows(rows, self.samples, "cond")[0] for rows in (query, key))
            total = query.new_zeros(len(query), query.shape[1], key.shape[1], dtype=torch.float32)
            for row, part, shares in slices(layer, query, key):
                total[row, part] = shares.sum(0)
            self._add("S", total, layer.heads)

    def _add(self, name: str, total: Tensor, heads: int) -> None:
        self.sums[name] = self.sums[name] + total if name in self.sums else total
        self.heads[name] = self.heads.get(name, 0) + heads

    def attention(self, name: str) -> Tensor:
        """S, (B, N, N), or C, (B, M, 77), float32, every row adding up to 1. ValueError when none was recorded."""
        if name not in self.sums:
            raise ValueError(f"no call of a layer of {name}'s resolution was recorded")
        return self.sums[name] / self.heads[name]

    def word_cross(self, words: Sequence[Sequence[int]]) -> Tensor:
        """(B, h, w) at C's size: the mean of C over the tokens of each row's word."""
        rows = [row[:, list(word)].mean(1) for row, word in zip(self.attention("C"), words, strict=True)]
        return torch.stack(rows).unflatten(1, self.cross_size)

    def maps(self, words: Sequence[Sequence[int]]) -> Tensor:
        """m: (B, h, w) at S's size, before any normalisation."""
        word = F.interpolate(self.word_cross(words)[:, None], size=self.self_size, mode="bicubic", align_corners=False)
        spread = torch.linalg.matrix_power(self.attention("S"), POWER) @ word.flatten(1)[..., None]
        return spread[..., 0].unflatten(1, self.self_size)


def _halved(size: Size, times: int) -> Size:
    for _ in range(times):
        size = -(-size[0] // 2), -(-size[1] // 2)
    return size
