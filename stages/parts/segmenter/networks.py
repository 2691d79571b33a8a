"""mmsegmentation networks by name, built from random weights."""

from __future__ import annotations

import warnings
from typing import Any

import mmseg.models  # noqa: F401
from mmengine import ConfigDict
from mmengine.registry import DefaultScope
from mmseg.models import EncoderDecoder
from mmseg.registry import MODELS

from stages.parts.datasets.labels import IGNORE
from stages.parts.errors import GraftError
from stages.parts.segmenter import mit
from stages.parts.segmenter.daformer import DAFormerHead
from stages.parts.segmenter.hrda import HRDA
from stages.parts.segmenter.names import NETWORKS

STRIDE = 32  # images are padded to a multiple of the deepest stride of any network


def build_segmenter(name: str, num_classes: int, detail: tuple[int, int] | None = None) -> EncoderDecoder:
    """A network with random weights, by one of NETWORKS; its data_preprocessor takes RGB uint8 images.

    With a detail size (height, width in pixels, multiples of 32) it is an HRDA network (see hrda.py).
    Raises GraftError for any other name.
    """
    if name not in NETWORKS:
        raise GraftError(f"params.yaml: train.model {name!r} is none of {', '.join(NETWORKS)}")
    head, _, size = name.partition("-")
    parts = _unet(num_classes) if head == "unet" else _transformer(head, size, num_classes)
    config = _encoder_decoder(**parts, stride=STRIDE if detail is None else 2 * STRIDE)
    if detail is not None:
        attention = _attention_head(parts["decode_head"], num_classes)
        config |= {"type": HRDA, "attention_head": attention, "detail": detail}
    with DefaultScope.overwrite_default_scope("mmseg"), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Default ``avg_non_ignore`` is False")
        return MODELS.build(ConfigDict(config))


def _encoder_decoder(backbone: dict[str, Any], decode_head: dict[str, Any], stride: int) -> dict[str, Any]:
    return {
        "type": "EncoderDecoder",
        "data_preprocessor": {
            "type": "SegDataPreProcessor",
            "mean": [123.675, 116.28, 103.53],  # ImageNet, as every published UDA segmenter
            "std": [58.395, 57.12, 57.375],
            "pad_val": 0,
            "seg_pad_val": IGNORE,
            "size_divisor": stride,
            "test_cfg": {"size_divisor": stride},
        },
        "backbone": backbone,
        # Without avg_non_ignore the mean runs over all pixels: a pseudo-label's weight scales its gradient.
        "decode_head": decode_head | {"align_corners": False, "loss_decode": {"type": "CrossEntropyLoss"}},
        "test_cfg": {"mode": "whole"},
    }


def _unet(num_classes: int) -> dict[str, Any]:
    """U-Net, 24 to 192 channels at strides 2 to 16: what stride 1 would cost goes into width and iterations.

    Group norm: with batch norm, statistics of source and mixed images would be used on target images.
    """
    norm = {"type": "GN", "num_groups": 8}
    return {
        "backbone": {
            "type": "UNet",
            "base_channels": 24,
            "num_stages": 4,
            "strides": (2, 1, 1, 1),
            "enc_num_convs": (2, 2, 2, 2),
            "dec_num_convs": (2, 2, 2),
            "downsamples": (True, True, True),
            "enc_dilations": (1, 1, 1, 1),
            "dec_dilations": (1, 1, 1),
            "norm_cfg": norm,
        },
        "decode_head": {
            "type": "FCNHead",
            "in_channels": 24,
            "in_index": 3,
            "channels": 24,
            "num_convs": 0,
            "concat_input": False,
            "dropout_ratio": 0.0,
            "num_classes": num_classes,
            "norm_cfg": norm,
        },
    }


def _transformer(head: str, size: str, num_classes: int) -> dict[str, Any]:
    """MiT under the head of SegFormer or of DAFormer."""
    return {
        "backbone": mit.config(size),
        "decode_head": {
            "type": "SegformerHead" if head == "segformer" else DAFormerHead,
            "in_channels": mit.channels(size),
            "in_index": [0, 1, 2, 3],
            "channels": 256,
            "dropout_ratio": 0.1,
            "num_classes": num_classes,
            "norm_cfg": {"type": "BN"},
        },
    }


def _attention_head(decode_head: dict[str, Any], num_classes: int) -> dict[str, Any]:
    """HRDA's scale attention: one output per class, on a transformer from DAFormer's head without its dilations."""
    head = decode_head if decode_head["type"] == "FCNHead" else decode_head | {"type": DAFormerHead, "light": True}
    return head | {"num_classes": num_classes, "align_corners": False}
