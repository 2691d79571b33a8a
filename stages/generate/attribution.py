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

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Literal

import torch
import torch.nn.functional as F
from diffusers.models.attention_processor import Attention
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence
from transformers import CLIPTextModel, CLIPTokenizer

Branch = Literal["uncond", "cond", "both"]
Size = tuple[int, int]


def cross_attention(unet: nn.Module, middle: bool = False) -> dict[str, Attention]:
    """The cross-attention layers of a UNet, by name. The middle block's is left out unless asked for, as OVAM
    and UCG do; a Stable Diffusion 1.x UNet then has 15."""
    return {
        name: part
        for name, part in unet.named_modules()
        if isinstance(part, Attention) and name.endswith(".attn2") and (middle or not name.startswith("mid_block"))
    }


@torch.no_grad()
def embed(tokenizer: CLIPTokenizer, text_encoder: CLIPTextModel, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
    """X' of each text: the last hidden state, start and end of text included, of the text without padding.

    Returns (B, n, c) embeddings, the rows of shorter texts filled up with zeros, and the (B, n) bool mask of
    true tokens. Each text is encoded alone, so its embedding does not depend on the others."""

    def alone(text: str) -> Tensor:
        tokens = tokenizer(text, truncation=True, return_tensors="pt").to(text_encoder.device)
        return text_encoder(tokens.input_ids, attention_mask=tokens.attention_mask).last_hidden_state[0]

    embeddings = {text: alone(text) for text in dict.fromkeys(texts)}
    lengths = torch.tensor([len(embeddings[text]) for text in texts], device=text_encoder.device)
    rows = pad_sequence([embeddings[text] for text in texts], batch_first=True)
    return rows, torch.arange(rows.shape[1], device=rows.device) < lengths[:, None]


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
        size = _layer_size(self.size, query.shape[1])
        for half in self._halves(query):
            total = _probabilities(half, key, self.mask, heads, scale)
            self.sums[size] = self.sums[size] + total if size in self.sums else total

    def maps(self) -> Tensor:
        """D: (B, n, h, w) float32 at the size of the largest layer, >= 0, zero at the tokens masked out.

        ValueError when no call was recorded."""
        if not self.sums:
            raise ValueError("no call of a cross-attention layer was recorded")
        largest = max(self.sums, key=lambda size: size[0] * size[1])
        layers = [_upsample(total.unflatten(2, size), largest) for size, total in self.sums.items()]
        return torch.stack(layers).sum(0)

    def _halves(self, query: Tensor) -> tuple[Tensor, ...]:
        rows = len(self.mask)
        if len(query) == rows and self.branch == "cond":
            return (query,)
        if len(query) == 2 * rows:
            uncond, cond = query.chunk(2)
            return {"uncond": (uncond,), "cond": (cond,), "both": (uncond, cond)}[self.branch]
        raise ValueError(f"{len(query)} rows of queries for {rows} texts have no branch {self.branch!r}")


@contextmanager
def record(
    layers: Mapping[str, Attention], embedding: Tensor, mask: Tensor, size: Size, branch: Branch
) -> Iterator[Attribution]:
    """Record the maps of `embedding` (B, n, c), `mask` (B, n) while the UNet with these `layers` is sampled.

    Queries are read where the layer's own attention takes them, at the output of to_q. Whatever processor
    makes the image does so untouched, and the image is bit-identical to one that is not recorded. When the
    context is left, also by an exception, the layers are as they were."""
    attribution = Attribution(mask, size, branch)
    with ExitStack() as stack:
        for layer in layers.values():
            stack.callback(layer.to_q.register_forward_hook(_hook(attribution, layer, embedding)).remove)
        yield attribution


def word_maps(maps: Tensor, words: Sequence[Sequence[int]]) -> Tensor:
    """(B, n, h, w) maps, the token indices of each row's word -> (B, h, w): the mean over a word's pieces."""
    return torch.stack([row[list(word)].mean(0) for row, word in zip(maps, words, strict=True)])


def _hook(attribution: Attribution, layer: Attention, embedding: Tensor) -> Callable[..., None]:
    """A forward hook for the layer's to_q. Equation (1) is computed once: K' is the same at every call."""
    with torch.no_grad():
        key = layer.to_k(embedding)

    def hook(module: nn.Module, inputs: tuple[Tensor, ...], query: Tensor) -> None:
        attribution.add(query, key, layer.heads, layer.scale)

    return hook


def _probabilities(query: Tensor, key: Tensor, mask: Tensor, heads: int, scale: float) -> Tensor:
    """Equation (2) summed over the heads, in float32: (B, n, N)."""
    q, k = (tokens.float().unflatten(2, (heads, -1)).transpose(1, 2) for tokens in (query, key))
    scores = scale * q @ k.transpose(-1, -2)
    return scores.masked_fill(~mask[:, None, None], -torch.inf).softmax(-1).sum(1).transpose(1, 2)


def _layer_size(latent: Size, pixels: int) -> Size:
    """(height, width) of a layer with so many pixels: the latent's, halved (rounding up) until it fits."""
    height, width = latent
    while height * width > pixels:
        height, width = -(-height // 2), -(-width // 2)
    if height * width != pixels:
        raise ValueError(f"a layer of {pixels} pixels is no scale of a {latent[0]} x {latent[1]} latent")
    return height, width


def _upsample(maps: Tensor, size: Size) -> Tensor:
    return F.interpolate(maps, size=size, mode="bilinear", align_corners=False)
