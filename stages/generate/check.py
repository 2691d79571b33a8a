"""Whether a model can give the maps that the settings ask for."""

from __future__ import annotations

from pathlib import Path

from stages.generate.params import Generate
from stages.parts.errors import GraftError
from stages.parts.pretrained import diffusion as checkpoint


def check_method(settings: Generate, folder: Path, learned: bool = False) -> None:
    """Raise GraftError when this model cannot give the maps that the settings ask for; `learned`: by an embedding."""
    if settings.steps > (most := checkpoint.most_steps(folder)):
        raise GraftError(
            f"params.yaml: generate.steps is {settings.steps}, but the scheduler of {folder} was trained with {most}; "
            f"take at most {most}"
        )
    joint = checkpoint.kind(folder) == checkpoint.JOINT
    if joint and (settings.attribution, settings.self_attention) != ("daam", None):
        raise GraftError(
            f"params.yaml: generate.model {folder} is a {checkpoint.JOINT}, whose pixels and text attend together; "
            f"set generate.attribution to daam and generate.self_attention to null"
        )
    if learned and settings.attribution != "ovam":
        fix = "take the key embedding out of the class's file of prompts" + ("" if joint else ", or set it to ovam")
        raise GraftError(
            f"params.yaml: generate.attribution is {settings.attribution}, which reads no embedding; {fix}"
        )
    if settings.self_attention is not None and (reason := _no_self_attention(settings, folder)):
        raise GraftError(f"params.yaml: generate.self_attention is set, but {reason}; set it to null")
    if settings.branch == "cond":
        return
    if settings.attribution != "ovam":
        raise GraftError(
            f"params.yaml: generate.branch is {settings.branch}, but {settings.attribution} is defined on the "
            f"conditional half; set the branch to cond"
        )
    if not checkpoint.guided(folder, settings.guidance):
        raise GraftError(
            f"params.yaml: generate.branch is {settings.branch}, but without guidance (generate.guidance is 1, or the "
            f"model has learned its own) there is no unconditional half to record; set the branch to cond"
        )


def _no_self_attention(settings: Generate, folder: Path) -> str:
    """Why the self-attention term cannot be had, "" when it can: OVAM takes it from the layers of the latent's size."""
    if settings.attribution == "dataset_diffusion":
        return "dataset_diffusion has its own (refine.self_attention)"
    config = folder / "unet" / "config.json"
    blocks = checkpoint.read_table(config).get("down_block_types", [""]) if config.is_file() else [""]
    return "" if "Attn" in str(blocks[0]) else f"{folder} has no attention at the latent's own size"
