"""Opens the method that params `refine` names, with its models, once."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stages.parts.pretrained.features import Features
from stages.parts.pretrained.promptable import Promptable
from stages.parts.pretrained.sam import Sam
from stages.parts.pretrained.sam_pth import SamCheckpoint
from stages.refine.methods import Attention, Method, OwnAttention, Principal, Prompted

# What of the section only the method `sam` reads.
SAM_PARAMS = ("model", "prompt", "negatives", "choose", "views", "snap", "batch")


def open_sam(path: Path, device: str) -> Promptable:
    """A .pth file through segment-anything, a folder through transformers."""
    return SamCheckpoint(path, device) if path.is_file() else Sam(path, device)


def open_method(params: Mapping[str, Any], models: Mapping[str, Path], device: str) -> Method:
    """params: the section's values; models: where `model` or `primaps.encoder` lies, if the method needs it."""
    if params["method"] == "sam":
        return Prompted(
            open_sam(models["model"], device), params["prompt"], params["negatives"], params["choose"],
            params["views"], params["snap"], params["batch"],
        )  # fmt: skip
    if params["method"] == "primaps":
        return Principal(Features(models["primaps.encoder"], device), params["primaps"]["similarity"], params["crf"])
    if params["method"] == "self_attention":
        return OwnAttention(**params["self_attention"])
    return Attention()
