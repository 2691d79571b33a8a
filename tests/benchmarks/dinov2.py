"""Weights named as facebookresearch/dinov2 names them, in transformers' layout."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from transformers import BitImageProcessor, Dinov2Config

MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]  # ImageNet's


def dinov2_folder(weights: Path, folder: Path) -> None:
    """Write config.json, preprocessor_config.json and model.safetensors."""
    state = load_file(weights)
    width, layers = (
        state["norm.weight"].numel(),
        1 + max(int(k.split(".")[1]) for k in state if k.startswith("blocks.")),
    )
    patch, cells = state["patch_embed.proj.weight"].shape[-1], state["pos_embed"].shape[1] - 1
    Dinov2Config(
        hidden_size=width, num_hidden_layers=layers, num_attention_heads=width // 64, patch_size=patch,
        image_size=patch * round(cells**0.5),
    ).save_pretrained(folder)  # fmt: skip
    BitImageProcessor(
        image_mean=MEAN, image_std=STD, size={"height": 224, "width": 224}, crop_size=224, do_center_crop=False
    ).save_pretrained(folder)
    save_file(as_transformers(state, layers), folder / "model.safetensors")


def as_transformers(weights: dict[str, torch.Tensor], layers: int) -> dict[str, torch.Tensor]:
    """The names of facebookresearch/dinov2 as transformers has them; query, key and value are one matrix there."""
    renamed = {
        "embeddings.cls_token": weights["cls_token"],
        "embeddings.mask_token": weights.get("mask_token", torch.zeros(1, weights["cls_token"].shape[-1])),
        "embeddings.position_embeddings": weights["pos_embed"],
        "embeddings.patch_embeddings.projection.weight": weights["patch_embed.proj.weight"],
        "embeddings.patch_embeddings.projection.bias": weights["patch_embed.proj.bias"],
        "layernorm.weight": weights["norm.weight"],
        "layernorm.bias": weights["norm.bias"],
    }
    same = {
        "norm1.weight": "norm1.weight", "norm1.bias": "norm1.bias", "norm2.weight": "norm2.weight",
        "norm2.bias": "norm2.bias", "attn.proj.weight": "attention.output.dense.weight",
        "attn.proj.bias": "attention.output.dense.bias", "ls1.gamma": "layer_scale1.lambda1",
        "ls2.gamma": "layer_scale2.lambda1", "mlp.fc1.weight": "mlp.fc1.weight", "mlp.fc1.bias": "mlp.fc1.bias",
        "mlp.fc2.weight": "mlp.fc2.weight", "mlp.fc2.bias": "mlp.fc2.bias",
    }  # fmt: skip
    for k in range(layers):
        own, other = f"blocks.{k}.", f"encoder.layer.{k}."
        renamed |= {other + there: weights[own + here] for here, there in same.items()}
        for part in ("weight", "bias"):
            for name, value in zip(("query", "key", "value"), weights[f"{own}attn.qkv.{part}"].chunk(3), strict=True):
                renamed[f"{other}attention.attention.{name}.{part}"] = value.contiguous()
    return renamed
