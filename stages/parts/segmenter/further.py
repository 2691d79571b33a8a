"""Networks of the further lines: the root line's, a U-Net of three levels, and DeepLabV3 (Chen et al. 2017).

A file of weights holds float16, half the bytes: the root line's files.py keeps float32.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmengine import ConfigDict
from mmengine.registry import DefaultScope
from mmseg.models import EncoderDecoder
from mmseg.registry import MODELS
from safetensors import SafetensorError, safe_open
from safetensors import torch as tensors
from torch import nn

from stages.parts.datasets.labels import IGNORE
from stages.parts.errors import GraftError
from stages.parts.segmenter import mit
from stages.parts.segmenter.further_names import DEEPLABS, SMALL_UNET
from stages.parts.segmenter.networks import STRIDE, build_segmenter
from stages.parts.store.atomic import write_whole

GROUPS = {"type": "GN", "num_groups": 8}
BATCH = {"type": "BN", "requires_grad": True}  # SyncBN asks for several GPUs
LEVELS = 3
BROKEN = (SafetensorError, OSError, KeyError, TypeError, ValueError, RuntimeError, GraftError)


def build_network(name: str, num_classes: int) -> EncoderDecoder:
    """A network with random weights by a name of FURTHER; its data_preprocessor takes RGB uint8 images."""
    if name == SMALL_UNET:
        parts = _small_unet(num_classes)
    elif name in DEEPLABS:
        parts = _deeplab(DEEPLABS[name], num_classes)
    else:
        return build_segmenter(name, num_classes)
    config = {
        "type": "EncoderDecoder",
        "data_preprocessor": {
            "type": "SegDataPreProcessor",
            "mean": [123.675, 116.28, 103.53],
            "std": [58.395, 57.12, 57.375],
            "pad_val": 0,
            "seg_pad_val": IGNORE,
            "size_divisor": STRIDE,
            "test_cfg": {"size_divisor": STRIDE},
        },
        "test_cfg": {"mode": "whole"},
        **parts,
    }
    with DefaultScope.overwrite_default_scope("mmseg"), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Default ``avg_non_ignore`` is False")
        return MODELS.build(ConfigDict(config))


def _small_unet(num_classes: int) -> dict[str, Any]:
    """The root line's U-Net without its lowest level, where two thirds of the weights are: 24 to 96 channels at strides
    2 to 8, 0.25 M parameters. A line of a dozen segmenters is shipped whole."""
    levels = LEVELS - 1
    return {
        "backbone": {
            "type": "UNet",
            "base_channels": 24,
            "num_stages": LEVELS,
            "strides": (2, *(1,) * levels),
            "enc_num_convs": (2,) * LEVELS,
            "dec_num_convs": (2,) * levels,
            "downsamples": (True,) * levels,
            "enc_dilations": (1,) * LEVELS,
            "dec_dilations": (1,) * levels,
            "norm_cfg": GROUPS,
        },
        "decode_head": _head("FCNHead", num_classes, GROUPS)
        | {
            "in_channels": 24, "in_index": levels, "channels": 24, "num_convs": 0, "concat_input": False,
            "dropout_ratio": 0.0,
        },
    }  # fmt: skip


def _deeplab(depth: int, num_classes: int) -> dict[str, Any]:
    """DeepLabV3-d8: ResNetV1c, atrous pyramid 1, 12, 24, 36, and an auxiliary head on the third stage at 0.4."""
    return {
        "backbone": {
            "type": "ResNetV1c", "depth": depth, "num_stages": 4, "out_indices": (0, 1, 2, 3),
            "dilations": (1, 1, 2, 4), "strides": (1, 2, 1, 1), "norm_cfg": BATCH, "norm_eval": False,
            "style": "pytorch", "contract_dilation": True,
        },
        "decode_head": _head("ASPPHead", num_classes, BATCH)
        | {"in_channels": 2048, "in_index": 3, "channels": 512, "dilations": (1, 12, 24, 36), "dropout_ratio": 0.1},
        "auxiliary_head": _head("FCNHead", num_classes, BATCH, weight=0.4)
        | {
            "in_channels": 1024, "in_index": 2, "channels": 256, "num_convs": 1, "concat_input": False,
            "dropout_ratio": 0.1,
        },
    }  # fmt: skip


def _head(kind: str, num_classes: int, norm: dict[str, Any], weight: float = 1.0) -> dict[str, Any]:
    loss = {"type": "CrossEntropyLoss", "loss_weight": weight}  # the mean runs over ignored pixels too, as published
    return {
        "type": kind, "num_classes": num_classes, "norm_cfg": norm, "align_corners": False, "loss_decode": loss,
    }  # fmt: skip


def load_encoder(model: EncoderDecoder, path: Path) -> nn.Module:
    """Give the network's encoder the weights of a file, or of its first levels where the file has more; the encoder is
    returned. GraftError when the file is damaged, or holds the encoder of another network."""
    encoder: nn.Module = getattr(model.backbone, "encoder", model.backbone)
    try:
        state = tensors.load_file(path)
        ours = mit.from_hub(state) if mit.is_from_hub(state) else state
        encoder.load_state_dict({name: ours[name] for name in encoder.state_dict() if name in ours})
    except (SafetensorError, OSError):
        raise GraftError(f"{path} is damaged; fetch it again (for what git keeps: `git checkout {path}`)") from None
    except (RuntimeError, KeyError):
        raise GraftError(f"{path} is not the encoder of this network; set the key encoder to null") from None
    return encoder


def save_halves(model: EncoderDecoder, path: Path, name: str, classes: Sequence[str]) -> None:
    """Write the weights as float16 (whole numbers as they are), the network's name and its classes. The same weights
    give the same bytes. GraftError when the disk is full."""
    state = {key: value.detach().cpu() for key, value in model.state_dict().items()}
    halves = {key: (value.half() if value.is_floating_point() else value).contiguous() for key, value in state.items()}
    about = {"model": name, "classes": list(classes)}
    write_whole(path, tensors.save(halves, {"segmenter": json.dumps(about)}))


def load_halves(path: Path, fix: str) -> tuple[EncoderDecoder, tuple[str, ...]]:
    """The network in a file of save_halves, in evaluation mode and float32, and its classes. GraftError, which ends in
    `fix`, for a bad file."""
    try:
        with safe_open(path, "pt") as file:
            about = json.loads(file.metadata()["segmenter"])
            state = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (it is no dict)
        model = build_network(about["model"], len(about["classes"]))
        model.load_state_dict({k: value.float() if value.is_floating_point() else value for k, value in state.items()})
    except FileNotFoundError:
        raise GraftError(f"{path}: no such segmenter; {fix}") from None
    except BROKEN:
        raise GraftError(f"{path} is damaged or no segmenter of this version; {fix}") from None
    return model.eval(), tuple(about["classes"])
