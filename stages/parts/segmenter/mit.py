"""MiT, the encoder of SegFormer and DAFormer (Xie et al. 2021, table 6), and its weights on the Hub."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from stages.parts.segmenter.names import MIT_SIZES

HEADS = [1, 2, 5, 8]


def channels(size: str) -> list[int]:
    """Of the four levels, at strides 4, 8, 16 and 32."""
    return [MIT_SIZES[size][0] * heads for heads in HEADS]


def config(size: str) -> dict[str, Any]:
    """mmsegmentation's config of MiT-B0 to B5, from random weights."""
    width, layers = MIT_SIZES[size]
    return {
        "type": "MixVisionTransformer",
        "embed_dims": width,
        "num_layers": layers,
        "num_heads": HEADS,
        "patch_sizes": [7, 3, 3, 3],
        "sr_ratios": [8, 4, 2, 1],
        "out_indices": (0, 1, 2, 3),
        "qkv_bias": True,
        "drop_path_rate": 0.1,
    }


# What a key of the Hub's nvidia/mit-b* is called in mmsegmentation; {0} is the stage, {1} the layer in it.
_BLOCK = {
    "layer_norm_1": "norm1",
    "layer_norm_2": "norm2",
    "attention.self.sr": "attn.sr",
    "attention.self.layer_norm": "attn.norm",
    "attention.output.dense": "attn.attn.out_proj",
    "mlp.dense1": "ffn.layers.0",
    "mlp.dwconv.dwconv": "ffn.layers.1",
    "mlp.dense2": "ffn.layers.4",
}
_STAGE = {
    r"patch_embeddings\.(\d+)\.proj": "layers.{0}.0.projection",
    r"patch_embeddings\.(\d+)\.layer_norm": "layers.{0}.0.norm",
    r"layer_norm\.(\d+)": "layers.{0}.2",
    **{rf"block\.(\d+)\.(\d+)\.{re.escape(hub)}": "layers.{0}.1.{1}." + ours for hub, ours in _BLOCK.items()},
}
_QUERY = re.compile(r"block\.(\d+)\.(\d+)\.attention\.self\.query\.(weight|bias)")


def is_from_hub(state: Mapping[str, Tensor]) -> bool:
    return any("encoder.patch_embeddings.0.proj" in key for key in state)


def from_hub(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of a SegFormer in transformers' layout as those of mmsegmentation's MixVisionTransformer.

    The encoder's alone: the classifier or the decode head, if there is one, is left out. Query, key and value
    become one matrix, the linear layers of the Mix-FFN 1 x 1 convolutions. KeyError for an unknown key.
    """
    encoder = {key.split("encoder.", 1)[1]: value for key, value in state.items() if "encoder." in key}
    ours = {}
    for key, value in encoder.items():
        if match := _QUERY.fullmatch(key):
            parts = [encoder[key.replace("self.query", f"self.{part}")] for part in ("query", "key", "value")]
            ours["layers.{}.1.{}.attn.attn.in_proj_{}".format(*match.groups())] = torch.cat(parts)
        elif ".self.key." not in key and ".self.value." not in key:
            name = _renamed(key)
            is_linear = value.ndim == 2 and ".ffn." in name
            ours[name] = value[:, :, None, None] if is_linear else value
    return ours


def _renamed(key: str) -> str:
    stem, kind = key.rsplit(".", 1)
    for pattern, name in _STAGE.items():
        if match := re.fullmatch(pattern, stem):
            return f"{name.format(*match.groups())}.{kind}"
    raise KeyError(key)
