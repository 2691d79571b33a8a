"""Adapter of transformers with joint attention (Stable Diffusion 3) for the recorder.

In these models pixels and text are one sequence: each block projects both, and softmax runs over pixels and text
together. The text changes from block to block with the image, so there are no keys of a text apart (and no OVAM);
what a pixel's query makes of the keys of the prompt's own tokens is recorded as DAAM does, softmax over the text. Of
the text sequence CLIP's tokens come first, in the places that its tokenizer gives them, and T5's behind.
"""

from __future__ import annotations

from typing import Any

from diffusers.models.attention_processor import Attention
from torch import Tensor, nn

from stages.parts.recording.recorder import Layer, Size


def joint_attention(transformer: nn.Module) -> dict[str, Layer]:
    """The joint attention layers, by name; `query` gives Q of the pixels, `key` K of the prompt's tokens.

    Both are read behind their norm where the layer has one. Layers of the pixels alone are left out."""
    return {
        name: Layer(
            name, part.heads, part.scale, part.norm_q or part.to_q, part.norm_added_k or part.add_k_proj, _no_text
        )
        for name, part in transformer.named_modules()
        if isinstance(part, Attention) and part.added_kv_proj_dim is not None
    }


def grid(pipe: Any, height: int, width: int) -> Size:
    """(height, width) in patches of an image of that size."""
    side = pipe.vae_scale_factor * pipe.transformer.config.patch_size
    return height // side, width // side


def _no_text(embedding: Tensor) -> Tensor:
    raise ValueError("joint attention has no keys of a text apart from the prompt")
