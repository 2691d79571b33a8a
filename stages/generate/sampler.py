"""Images of a block of prompts, each with the attention map of its class word."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import StableDiffusionPipeline
from diffusers.utils import logging as diffusers_logging
from numpy.typing import NDArray
from transformers.utils import logging as transformers_logging

from stages.generate.attribution import Branch, cross_attention, embed, record, word_maps
from stages.generate.prompts import Prompt, word_tokens
from stages.params import GraftError

Pipeline = Any  # a StableDiffusionPipeline: diffusers gives it its parts at run time, unseen by type checkers
FLAT = 1e-6  # contrast relative to the maximum below which a float32 map holds nothing but rounding


@dataclass(frozen=True)
class Sampling:
    """How images are sampled: denoising steps, scale of the classifier-free guidance (1: none), height and
    width in pixels, and the branch whose queries OVAM reads."""

    steps: int
    guidance: float
    height: int
    width: int
    branch: Branch


@dataclass(frozen=True)
class Picture:
    """`image` (H, W, 3) uint8 RGB; `attribution` (H, W) float32, the raw OVAM map of the class word, finite
    and >= 0; `word` the token indices whose mean it is; `rejected` "" or why the pair is of no use."""

    image: NDArray[np.uint8]
    attribution: NDArray[np.float32]
    word: tuple[int, ...]
    rejected: str


def load(folder: Path, dtype: str) -> Pipeline:
    """The pipeline of a diffusers folder, on the GPU if there is one. GraftError if it cannot be built."""
    diffusers_logging.disable_progress_bar()
    transformers_logging.disable_progress_bar()
    try:
        pipe = StableDiffusionPipeline.from_pretrained(
            folder,
            dtype=getattr(torch, dtype),
            local_files_only=True,
            use_safetensors=True,
            safety_checker=None,
            requires_safety_checker=False,
        )
    except (OSError, ValueError, TypeError, KeyError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:300]
        raise GraftError(f"params.yaml: generate.model {folder} cannot be loaded ({reason}); fetch it again") from None
    pipe.set_progress_bar_config(disable=True)
    torch.backends.cudnn.deterministic = True
    return pipe.to("cuda" if torch.cuda.is_available() else "cpu")


def sample_block(
    pipe: Pipeline,
    prompts: Sequence[Prompt],
    noise: Sequence[int],
    negative: str,
    sampling: Sampling,
) -> list[Picture]:
    """One picture per prompt, in order. `noise` holds the seed of each picture's own generator, which serves
    the first latent and, under a stochastic scheduler, every step.

    How floating-point sums round depends on the shape of a batch: equal bits need equal blocks, the same
    prompts in the same slots."""
    words = [word_tokens(pipe.tokenizer, prompt) for prompt in prompts]
    texts = [prompt.attribution_text for prompt in prompts]
    embedding, mask = embed(pipe.tokenizer, pipe.text_encoder, texts)
    latent = (sampling.height // pipe.vae_scale_factor, sampling.width // pipe.vae_scale_factor)
    with record(cross_attention(pipe.unet), embedding, mask, latent, sampling.branch) as attribution:
        images = pipe(
            [prompt.prompt for prompt in prompts],
            negative_prompt=[negative] * len(prompts),
            generator=[torch.Generator().manual_seed(seed) for seed in noise],
            num_inference_steps=sampling.steps,
            guidance_scale=sampling.guidance,
            height=sampling.height,
            width=sampling.width,
            output_type="np",
        ).images
    maps = resized(word_maps(attribution.maps(), words), sampling.height, sampling.width)
    return [picture(*parts) for parts in zip(images, maps, words, strict=True)]


def picture(image: NDArray[np.float32], attribution: NDArray[np.float32], word: tuple[int, ...]) -> Picture:
    """One finished picture from (H, W, 3) values in [0, 1] and an (H, W) map; what is not finite becomes 0.

    `rejected` is the first of these that holds: non_finite_image, constant_image (such as a safety checker's
    black one), non_finite_map, flat_map (no contrast beyond rounding)."""
    pixels = (_finite(image) * 255).round().astype(np.uint8)
    heat = _finite(attribution)
    reasons = {
        "non_finite_image": not np.isfinite(image).all(),
        "constant_image": (pixels == pixels[0, 0]).all(),
        "non_finite_map": not np.isfinite(attribution).all(),
        "flat_map": np.ptp(heat) <= FLAT * heat.max(),
    }
    return Picture(pixels, heat, word, next((reason for reason, holds in reasons.items() if holds), ""))


def _finite(values: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.where(np.isfinite(values), values, np.float32(0))


def resized(maps: torch.Tensor, height: int, width: int) -> NDArray[np.float32]:
    """(B, h, w) maps -> (B, height, width), bilinear."""
    return F.interpolate(maps[:, None], size=(height, width), mode="bilinear")[:, 0].cpu().numpy()
