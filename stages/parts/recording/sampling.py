"""How images are sampled, and which of diffusers' switches are thrown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Way = Literal["ovam", "daam", "dataset_diffusion"]  # to record where a class is in the image: methods.py
Branch = Literal["uncond", "cond", "both"]  # of classifier-free guidance, whose queries OVAM reads


@dataclass(frozen=True)
class Sampling:
    """How images are sampled: denoising steps, scale of the classifier-free guidance (1: none), height and
    width in pixels; and what is recorded: the method, the branch whose queries OVAM reads, and the floor of its
    self-attention term (None: without)."""

    steps: int
    guidance: float
    height: int
    width: int
    branch: Branch
    attribution: Way = "ovam"
    self_attention: float | None = None


@dataclass(frozen=True)
class Switches:
    """diffusers' own: attention in slices, parts of the model on the GPU only while they compute, the model's
    repeated blocks compiled."""

    attention_slicing: bool = False
    offload: bool = False
    compile: bool = False
