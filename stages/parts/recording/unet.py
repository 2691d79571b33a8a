"""Adapter of diffusers' UNets (Stable Diffusion 1.x, 2.x, XL and what was distilled from them) for the recorder.

Every transformer block has two attention layers: attn1, of the pixels among themselves, and attn2, of the pixels
over the text. Stable Diffusion 1.x and 2.x encode a text by one CLIP, its last hidden state; XL by two, the
last hidden state but one of each, side by side.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from diffusers.models.attention_processor import Attention
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from stages.parts.recording.recorder import Layer, Size


def cross_attention(unet: nn.Module, middle: bool = False) -> dict[str, Layer]:
    """The cross-attention layers of a UNet, by name. The middle block's is left out unless asked for, as OVAM
    and UCG do; a Stable Diffusion 1.x UNet then has 15."""
    return _layers(unet, ".attn2", middle)


def self_attention(unet: nn.Module, middle: bool = False) -> dict[str, Layer]:
    """The self-attention layers of a UNet, by name; the middle block's only when asked for."""
    return _layers(unet, ".attn1", middle)


def _layers(unet: nn.Module, ending: str, middle: bool) -> dict[str, Layer]:
    return {
        name: Layer(name, part.heads, part.scale, part.to_q, part.to_k, part.to_k)
        for name, part in unet.named_modules()
        if isinstance(part, Attention) and name.endswith(ending) and (middle or not name.startswith("mid_block"))
    }


def halvings(unet: nn.Module) -> int:
    """How often a UNet halves its latent: once between two of its levels."""
    return len(unet.config.down_block_types) - 1  # type: ignore[union-attr, arg-type]


def latent_size(pipe: Any, height: int, width: int) -> Size:
    """(height, width) of the latent of an image of that size."""
    return height // pipe.vae_scale_factor, width // pipe.vae_scale_factor


@torch.no_grad()
def embed(pipe: Any, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
    """X' of each text: the hidden state that the UNet reads, start and end of text included, without padding.

    Returns (B, n, c) embeddings, the rows of shorter texts filled up with zeros, and the (B, n) bool mask of
    true tokens. Each text is encoded alone, so its embedding does not depend on the others."""
    embeddings = {text: _alone(pipe, text) for text in dict.fromkeys(texts)}
    rows = pad_sequence([embeddings[text] for text in texts], batch_first=True)
    lengths = torch.tensor([len(embeddings[text]) for text in texts], device=rows.device)
    return rows, torch.arange(rows.shape[1], device=rows.device) < lengths[:, None]


def _alone(pipe: Any, text: str) -> Tensor:
    """(n, c) hidden states of one text."""
    if getattr(pipe, "text_encoder_2", None) is None:
        return _encoded(pipe.tokenizer, pipe.text_encoder, text).last_hidden_state[0]
    pairs = ((pipe.tokenizer, pipe.text_encoder), (pipe.tokenizer_2, pipe.text_encoder_2))
    return torch.cat([_encoded(*pair, text).hidden_states[-2][0] for pair in pairs], -1)


def _encoded(tokenizer: Any, text_encoder: Any, text: str) -> Any:
    tokens = tokenizer(text, truncation=True, return_tensors="pt").to(text_encoder.device)
    return text_encoder(tokens.input_ids, attention_mask=tokens.attention_mask, output_hidden_states=True)


@torch.no_grad()
def embed_padded(pipe: Any, texts: Sequence[str]) -> Tensor:
    """(B, 77, c): the texts as the pipeline itself gives a prompt to the UNet, padding included."""
    how = {"device": pipe._execution_device, "num_images_per_prompt": 1, "do_classifier_free_guidance": False}
    embedding: Tensor = pipe.encode_prompt(list(texts), **how)[0]
    return embedding
