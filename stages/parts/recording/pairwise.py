"""Self-attention in streaming form: P = softmax(Q K^T / sqrt(d)) of the pixels among themselves, slice by slice.

P of 64 x 64 pixels and 8 heads has 134 million entries for one image. No method wants it whole: each slice of
queries is reduced before the next is computed, so the memory stays at SLICE entries whatever the size.
"""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor

from stages.parts.recording.recorder import Layer, scores, split_heads

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
