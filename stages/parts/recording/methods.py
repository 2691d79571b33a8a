"""The ways to record where a class is in the image, by name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from stages.parts.prompts.prompt import Prompt, subject_tokens, word_tokens
from stages.parts.recording import joint, unet
from stages.parts.recording.daam import Daam
from stages.parts.recording.dataset_diffusion import DatasetDiffusion
from stages.parts.recording.ovam import Attribution, word_maps
from stages.parts.recording.recorder import Tap
from stages.parts.recording.sampling import Sampling
from stages.parts.recording.self_attention import SelfAttention

Words = list[tuple[int, ...]]


@dataclass(frozen=True)
class Recording:
    """What a method wants to hear (`taps`), the tokens of each row's word, and what it gives when the images are
    done: `maps` (B, h, w) float32, to be enlarged by `resize`, and other arrays by file name, (B, ...) each."""

    taps: list[Tap]
    words: Words
    maps: Callable[[], Tensor]
    resize: str = "bilinear"
    extras: Callable[[], dict[str, Tensor]] = dict


def recording(pipe: Any, prompts: Sequence[Prompt], sampling: Sampling, embedding: Tensor | None = None) -> Recording:
    """A fresh recording of one image per prompt. `embedding` (n, c) takes the place of OVAM's attribution text:
    its first row is the background, the others are the class."""
    if sampling.attribution == "dataset_diffusion":
        return _dataset_diffusion(pipe, prompts, sampling)
    if sampling.attribution == "daam":
        recorded = _daam(pipe, prompts, sampling)
    else:
        recorded = _ovam(pipe, prompts, sampling, embedding)
    return recorded if sampling.self_attention is None else _with_self_attention(pipe, recorded, sampling)


def _ovam(pipe: Any, prompts: Sequence[Prompt], sampling: Sampling, learned: Tensor | None) -> Recording:
    if learned is None:
        words = [word_tokens(pipe.tokenizer, prompt) for prompt in prompts]
        embedding, mask = unet.embed(pipe, [prompt.attribution_text for prompt in prompts])
    else:
        words = [tuple(range(1, len(learned)))] * len(prompts)
        embedding = learned.expand(len(prompts), -1, -1)
        mask = torch.ones(embedding.shape[:2], dtype=torch.bool)
    attribution = Attribution(mask, unet.latent_size(pipe, sampling.height, sampling.width), sampling.branch)
    taps = attribution.taps(unet.cross_attention(pipe.unet), embedding)
    return Recording(taps, words, lambda: word_maps(attribution.maps(), words))


def _daam(pipe: Any, prompts: Sequence[Prompt], sampling: Sampling) -> Recording:
    words = [subject_tokens(pipe.tokenizer, prompt) for prompt in prompts]
    if hasattr(pipe, "transformer"):
        size, layers = joint.grid(pipe, sampling.height, sampling.width), joint.joint_attention(pipe.transformer)
    else:
        size, layers = unet.latent_size(pipe, sampling.height, sampling.width), unet.cross_attention(pipe.unet)
    daam = Daam(words, size)
    return Recording(daam.taps(layers), words, daam.maps)


def _dataset_diffusion(pipe: Any, prompts: Sequence[Prompt], sampling: Sampling) -> Recording:
    words = [word_tokens(pipe.tokenizer, prompt) for prompt in prompts]
    size = unet.latent_size(pipe, sampling.height, sampling.width)
    both = DatasetDiffusion(len(prompts), size, unet.halvings(pipe.unet))
    taps = both.taps(
        unet.self_attention(pipe.unet, middle=True),
        unet.cross_attention(pipe.unet, middle=True),
        unet.embed_padded(pipe, [prompt.attribution_text for prompt in prompts]),
    )

    def extras() -> dict[str, Tensor]:
        return {"self_attention.npy": both.attention("S"), "cross_attention.npy": both.word_cross(words)}

    return Recording(taps, words, partial(both.maps, words), "bicubic", extras)


def _with_self_attention(pipe: Any, recorded: Recording, sampling: Sampling) -> Recording:
    """The same maps times OVAM's self-attention term."""
    assert sampling.self_attention is not None
    floor, size = sampling.self_attention, unet.latent_size(pipe, sampling.height, sampling.width)
    term = SelfAttention(len(recorded.words), size, sampling.branch)
    taps = recorded.taps + term.taps(unet.self_attention(pipe.unet))
    return Recording(taps, recorded.words, lambda: recorded.maps() * term.factor(floor))
