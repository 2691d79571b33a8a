"""The maps of all class words of a picture, recorded while it is drawn: S^tau C of each, for several tau at once.

S of a 512 x 512 picture is 4 MB, 160 GB for 40 000 of them. S^tau C is worked out before anything is written, for every
tau that may be wanted: K maps of S's size each, a few kilobytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from stages.parts.masks.class_maps import flat_maps, normalised, spread, word_attention
from stages.parts.recording.dataset_diffusion import DatasetDiffusion
from stages.parts.recording.recorder import Size


@dataclass
class ClassMaps(DatasetDiffusion):
    """Dataset Diffusion's S and C at resolutions of choice: how often the latent is halved for each.

    Published are 1 and 2 (32 and 16 at a latent of 64). Finer maps draw finer edges; what the model lacks is replaced
    by its lowest."""

    self_halvings: int = 1
    cross_halvings: int = 2

    @property
    def self_size(self) -> Size:
        return halved(self.size, min(self.self_halvings, self.levels))

    @property
    def cross_size(self) -> Size:
        return halved(self.size, min(self.cross_halvings, self.levels))


@dataclass(frozen=True)
class WordMaps:
    """maps: (T, K, h, w) float32 in [0, 1], of each power and each class word; peaks: (K,) float32, the largest share
    of attention that a pixel gives the word (over all tokens of the class prompt); flat: whether a word's map has no
    contrast; finite: whether all that was recorded are numbers (else the maps are 0)."""

    maps: Tensor
    peaks: Tensor
    flat: bool
    finite: bool


def word_maps(recorded: ClassMaps, spans: Sequence[Sequence[Sequence[int]]], powers: Sequence[int]) -> list[WordMaps]:
    """The maps of every picture, whatever the scale of S and C. spans: per picture the tokens of each of its words.

    ValueError when nothing of the wanted resolutions was recorded."""
    own, cross = recorded.attention("S").cpu(), recorded.attention("C").cpu()
    found = []
    for s, c, words in zip(own, cross, spans, strict=True):
        finite = bool(torch.isfinite(s).all() and torch.isfinite(c).all())
        if not finite:
            s, c = torch.zeros_like(s), torch.zeros_like(c)
        attention = word_attention(c, words, recorded.cross_size, recorded.self_size)
        raw = [spread(s, attention, power) for power in powers]
        flat = any(bool(flat_maps(one).any()) for one in raw)
        peaks = attention.amax((1, 2))
        found.append(WordMaps(torch.stack([normalised(one) for one in raw]), peaks, flat, finite))
    return found


def halved(size: Size, times: int) -> Size:
    """(height, width) halved so often, rounded up, as a UNet halves."""
    for _ in range(times):
        size = -(-size[0] // 2), -(-size[1] // 2)
    return size
