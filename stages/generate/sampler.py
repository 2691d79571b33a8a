"""Images of a block of prompts, each with the attention map of its class word."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import torch
import torch.nn.functional as F
from diffusers.utils import logging as diffusers_logging
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file
from transformers.utils import logging as transformers_logging

from stages.generate.params import Generate
from stages.parts.errors import GraftError
from stages.parts.pretrained import diffusion as checkpoint
from stages.parts.pretrained.weights import BACK
from stages.parts.prompts.prompt import Prompt
from stages.parts.recording.methods import recording
from stages.parts.recording.recorder import listening
from stages.parts.recording.sampling import Sampling, Switches

Pipeline = Any  # a diffusers pipeline: it gets its parts at run time, unseen by type checkers
AS_IT_IS = Switches()
FLAT = 1e-6  # contrast relative to the maximum below which a float32 map holds nothing but rounding


@dataclass(frozen=True)
class Picture:
    """`image` (H, W, 3) uint8 RGB; `attribution` (H, W) float32, the raw map of the class word, finite and
    >= 0; `word` the token indices whose mean it is; `rejected` "" or why the pair is of no use; `extras` what else
    the method gives, by file name."""

    image: NDArray[np.uint8]
    attribution: NDArray[np.float32]
    word: tuple[int, ...]
    rejected: str
    extras: dict[str, NDArray[np.float32]] = field(default_factory=dict)


def load(folder: Path, dtype: str, switches: Switches = AS_IT_IS, device: str | None = None) -> Pipeline:
    """The pipeline of a diffusers folder, by default on the GPU if there is one. GraftError if it cannot be built."""
    diffusers_logging.disable_progress_bar()
    transformers_logging.disable_progress_bar()
    diffusers_logging.set_verbosity_error()  # that a prompt is cut is told once, by the stage
    transformers_logging.set_verbosity_error()
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    kind: Any = getattr(diffusers, checkpoint.kind(folder))
    unchecked = {"safety_checker": None, "requires_safety_checker": False}
    options = unchecked if "safety_checker" in inspect.signature(kind).parameters else {}
    given = {"dtype": getattr(torch, dtype), "local_files_only": True, "use_safetensors": True}
    try:
        parts = {name: _part(folder / name, maker, given) for name, maker in checkpoint.parts(folder).items()}
        pipe = kind.from_pretrained(folder, **given, **parts, **options)
    except (OSError, ValueError, TypeError, KeyError, RuntimeError, AttributeError, SafetensorError) as error:
        reason = " ".join(str(error).split())[:300]
        raise GraftError(f"params.yaml: generate.model {folder} cannot be loaded ({reason}); fetch it again") from None
    pipe.set_progress_bar_config(disable=True)
    torch.backends.cudnn.deterministic = True
    return switched(pipe, switches, device)


def _part(folder: Path, maker: tuple[str, str], given: dict[str, Any]) -> Any:
    """One model of the pipeline. GraftError when its weights lack a tensor: transformers would give that random
    values, diffusers leave it without any."""
    library, name = maker
    kind: Any = getattr(importlib.import_module(library), name)
    model, info = kind.from_pretrained(folder, output_loading_info=True, **given)
    if lacking := sorted(info["missing_keys"]):
        raise GraftError(f"{folder}: the weights lack {len(lacking)} tensors of {name}, such as {lacking[0]}; {BACK}")
    return model


def switched(pipe: Pipeline, switches: Switches, device: str) -> Pipeline:
    """The pipeline on its device, with diffusers' own switches thrown. GraftError for one that the device lacks."""
    if switches.offload and device == "cpu":
        raise GraftError("params.yaml: generate.offload moves parts off a GPU, and there is none here; set it to false")
    if switches.offload:
        pipe.enable_model_cpu_offload(device=device)
    else:
        pipe.to(device)
    if switches.attention_slicing:
        pipe.enable_attention_slicing()
    if switches.compile:
        (pipe.unet if hasattr(pipe, "unet") else pipe.transformer).compile_repeated_blocks()
    return pipe


def load_embedding(path: Path, pipe: Pipeline) -> torch.Tensor:
    """The learned embedding of a class, (n, c), background first, on the pipeline's device and in its dtype.

    GraftError for a file that has none, or one of another width than the model's."""
    try:
        embedding = load_file(path)["embedding"]
    except (OSError, SafetensorError, KeyError) as error:
        raise GraftError(f"{path} holds no learned embedding ({error}); make it again") from None
    width = pipe.unet.config.cross_attention_dim
    if embedding.ndim != 2 or embedding.shape[1] != width or len(embedding) < 2:
        raise GraftError(
            f"{path} holds an embedding of shape {tuple(embedding.shape)}, and this model reads (2 or more, {width}); "
            f"learn one with this model"
        )
    return embedding.to(pipe._execution_device, pipe.unet.dtype)


def sample_block(
    pipe: Pipeline,
    prompts: Sequence[Prompt],
    noise: Sequence[int],
    negative: str,
    sampling: Sampling,
    embedding: torch.Tensor | None = None,
) -> list[Picture]:
    """One picture per prompt, in order. `noise` holds the seed of each picture's own generator, which serves
    the first latent and, under a stochastic scheduler, every step. `embedding` is a learned one of the class.

    How floating-point sums round depends on the shape of a batch: equal bits need equal blocks, the same
    prompts in the same slots."""
    recorded = recording(pipe, prompts, sampling, embedding)
    with listening(recorded.taps):
        drawn = images(pipe, [prompt.prompt for prompt in prompts], noise, negative, sampling)
    maps = resized(recorded.maps(), sampling.height, sampling.width, recorded.resize)
    extras = {name: rows.cpu().numpy() for name, rows in recorded.extras().items()}
    pictures = [picture(*parts) for parts in zip(drawn, maps, recorded.words, strict=True)]
    return [replace(one, extras={name: rows[k] for name, rows in extras.items()}) for k, one in enumerate(pictures)]


def images(
    pipe: Pipeline, prompts: Sequence[str], noise: Sequence[int], negative: str, how: Sampling | Generate
) -> NDArray[np.float32]:
    """(B, H, W, 3) values in [0, 1], one image per prompt, each from the generator of its own seed in `noise`."""
    takes_negative = "negative_prompt" in inspect.signature(pipe.__call__).parameters
    drawn: NDArray[np.float32] = pipe(
        list(prompts),
        generator=[torch.Generator().manual_seed(seed) for seed in noise],
        num_inference_steps=how.steps,
        guidance_scale=how.guidance,
        height=how.height,
        width=how.width,
        output_type="np",
        **({"negative_prompt": [negative] * len(prompts)} if takes_negative else {}),
    ).images
    return drawn


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


def resized(maps: torch.Tensor, height: int, width: int, mode: str = "bilinear") -> NDArray[np.float32]:
    """(B, h, w) maps -> (B, height, width); what bicubic overshoots below 0 becomes 0."""
    large = F.interpolate(maps[:, None], size=(height, width), mode=mode)[:, 0]
    return (large.clamp(min=0) if mode == "bicubic" else large).cpu().numpy()
