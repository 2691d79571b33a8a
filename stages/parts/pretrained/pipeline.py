"""A diffusers pipeline, loaded from a folder and asked for pictures.

The root line's generate has the like of its own (stages/generate/sampler.py): its code is part of its samples' keys, so
that moving it here would draw them all again.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import torch
from diffusers.utils import logging as diffusers_logging
from numpy.typing import NDArray
from safetensors import SafetensorError
from transformers.utils import logging as transformers_logging

from stages.parts.errors import GraftError
from stages.parts.pretrained import diffusion as checkpoint
from stages.parts.pretrained.weights import BACK

BROKEN = (OSError, ValueError, TypeError, KeyError, RuntimeError, AttributeError, SafetensorError)


def open_pipeline(folder: Path, dtype: str, device: str) -> Any:
    """The pipeline of a diffusers folder, without a safety checker. GraftError if it cannot be built, or its weights
    lack a tensor, which would get random values."""
    diffusers_logging.disable_progress_bar()
    transformers_logging.disable_progress_bar()
    diffusers_logging.set_verbosity_error()
    transformers_logging.set_verbosity_error()
    kind: Any = getattr(diffusers, checkpoint.kind(folder))
    given = {"dtype": getattr(torch, dtype), "local_files_only": True, "use_safetensors": True}
    unchecked = {"safety_checker": None, "requires_safety_checker": False}
    options = unchecked if "safety_checker" in inspect.signature(kind).parameters else {}
    try:
        parts = {name: _part(folder / name, *maker, given) for name, maker in checkpoint.parts(folder).items()}
        pipe = kind.from_pretrained(folder, **given, **parts, **options)
    except BROKEN as error:
        raise GraftError(f"{folder} cannot be loaded ({' '.join(str(error).split())[:300]}); fetch it again") from None
    pipe.set_progress_bar_config(disable=True)
    torch.backends.cudnn.deterministic = True
    return pipe.to(device)


def _part(folder: Path, library: str, name: str, given: dict[str, Any]) -> Any:
    kind: Any = getattr(importlib.import_module(library), name)
    model, info = kind.from_pretrained(folder, output_loading_info=True, **given)
    if lacking := sorted(info["missing_keys"]):
        raise GraftError(f"{folder}: the weights lack {len(lacking)} tensors of {name}, such as {lacking[0]}; {BACK}")
    return model


def pictures(
    pipe: Any,
    prompts: Sequence[str],
    noise: Sequence[int],
    *,
    negative: str,
    steps: int,
    guidance: float,
    height: int,
    width: int,
) -> NDArray[np.float32]:
    """(B, height, width, 3) values in [0, 1], one per prompt, each from the generator of its own seed in `noise`."""
    drawn: NDArray[np.float32] = pipe(
        list(prompts),
        negative_prompt=[negative] * len(prompts),
        generator=[torch.Generator().manual_seed(seed) for seed in noise],
        num_inference_steps=steps,
        guidance_scale=guidance,
        height=height,
        width=width,
        output_type="np",
    ).images
    return drawn
