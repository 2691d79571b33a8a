"""DAAM: the attention map of a word of the prompt itself.

Tang et al., What the DAAM: Interpreting Stable Diffusion Using Cross Attention (ACL 2023). With the queries Q and
the keys K of the conditional half, in head h of layer l at model call t, and the token k of the prompt,

    (1)  A   = softmax_77(Q K^T / sqrt(d))                    all tokens of the padded prompt compete
    (2)  D_k = mean_{l,h} max(0, Up( sum_t A_{t,l,h,k} ))     Up: bicubic to the size of the largest layer

Up is not linear with what follows it (bicubic may fall below zero), so heads are kept apart until the image is
done; in exchange only the tokens asked for are kept, (B, heads, k, h * w) per layer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from stages.parts.recording.recorder import Layer, Size, Tap, branch_rows, layer_size, own_taps, scores


@dataclass
class Daam:
    """The running sums over t of equation (1), by layer, of the tokens `words` of each row's own prompt."""

    words: Sequence[Sequence[int]]
    size: Size
    sums: dict[str, Tensor] = field(default_factory=dict)

    def taps(self, layers: Mapping[str, Layer]) -> list[Tap]:
        """Listen to these layers."""
        return [tap for layer in layers.values() for tap in own_taps(layer, partial(self.add, layer))]

    def add(self, layer: Layer, query: Tensor, key: Tensor) -> None:
        """Add one call of one layer: the queries of its pixels, the keys of its prompt, both halves if guided.

        ValueError unless there are as many rows as words (no guidance) or twice as many."""
        picks = pad_sequence([torch.tensor(list(word)) for word in self.words], batch_first=True).to(query.device)
        query, key = (branch_rows(rows, len(self.words), "cond")[0] for rows in (query, key))
        shares = scores(query, key, layer.heads, layer.scale).softmax(-1)
        index = picks[:, None, None].expand(-1, layer.heads, shares.shape[2], -1)
        total = shares.gather(3, index).transpose(2, 3)
        self.sums[layer.name] = self.sums[layer.name] + total if layer.name in self.sums else total

    def maps(self) -> Tensor:
        """(B, h, w) float32 at the size of the largest layer, >= 0: the mean over the word's tokens of D_k.

        ValueError when no call was recorded."""
        if not self.sums:
            raise ValueError("no call of a cross-attention layer was recorded")
        sizes = {name: layer_size(self.size, total.shape[3]) for name, total in self.sums.items()}
        largest = max(sizes.values(), key=lambda size: size[0] * size[1])
        heads = sum(total.shape[1] for total in self.sums.values())
        layers = [_upsampled(total.unflatten(3, sizes[name]), largest) for name, total in self.sums.items()]
        tokens = torch.stack(layers).sum(0) / heads
        return torch.stack([row[: len(word)].mean(0) for row, word in zip(tokens, self.words, strict=True)])


def _upsampled(heads: Tensor, size: Size) -> Tensor:
    """(B, heads, k, h, w) -> (B, k, *size): each head resized and clamped, then summed."""
    resized = F.interpolate(heads.flatten(0, 1), size=size, mode="bicubic", align_corners=False)
    return resized.clamp(min=0).unflatten(0, heads.shape[:2]).sum(1)
