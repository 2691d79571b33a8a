"""The segmenters: mmsegmentation networks by name, and their files (safetensors: nothing is unpickled)."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from mmengine import ConfigDict
from mmengine.registry import DefaultScope
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import nn

from stages.labels import IGNORE, GraftError

with warnings.catch_warnings():  # mmcv-lite says at import that it lacks the compiled operations; none is used here
    warnings.filterwarnings("ignore", message="Fail to import")
    from mmseg.models import EncoderDecoder
    from mmseg.registry import MODELS

STRIDE = 32  # images are padded to a multiple of the deepest stride of either network


def build(name: str, num_classes: int) -> EncoderDecoder:
    """A network with random weights ("unet" or "segformer"); its data_preprocessor takes RGB uint8 images.

    Raises GraftError for any other name.
    """
    if name not in _NETWORKS:
        raise GraftError(f"params.yaml: train.model {name!r} is none of {', '.join(sorted(_NETWORKS))}")
    with DefaultScope.overwrite_default_scope("mmseg"), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Default ``avg_non_ignore`` is False")
        return MODELS.build(ConfigDict(_encoder_decoder(**_NETWORKS[name](num_classes))))


def load_encoder(model: EncoderDecoder, folder: Path | str) -> nn.Module:
    """Give the network's encoder the weights in folder/model.safetensors; the encoder is returned.

    Raises GraftError when the file is missing or damaged, or holds the encoder of another network.
    """
    path = Path(folder) / "model.safetensors"
    encoder = getattr(model.backbone, "encoder", model.backbone)
    try:
        encoder.load_state_dict(load_file(path))
    except FileNotFoundError:
        raise GraftError(f"params.yaml: train.encoder: there is no {path}; correct it, or null for none") from None
    except (SafetensorError, OSError):
        raise GraftError(f"{path} is damaged; fetch it again (for what git keeps: `git checkout {path}`)") from None
    except RuntimeError:
        raise GraftError(
            f"params.yaml: train.encoder: {path} is not the encoder of train.model; set train.encoder to null"
        ) from None
    return encoder


def save(model: EncoderDecoder, path: Path | str, name: str, classes: Sequence[str]) -> None:
    """Write the weights, the network's name and the classes. The same weights give the same bytes."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    state = {key: value.detach().cpu().contiguous() for key, value in model.state_dict().items()}
    # One entry only: safetensors writes several in an order that differs from process to process.
    metadata = {"segmenter": json.dumps({"model": name, "classes": list(classes)})}
    unfinished = path.with_name(path.name + ".partial")
    save_file(state, unfinished, metadata)
    os.replace(unfinished, path)


def load(path: Path | str) -> tuple[EncoderDecoder, tuple[str, ...]]:
    """The network in a file of `save`, in evaluation mode, and its classes. GraftError for a bad file."""
    fix = "train it again with `python -m stages.train RECIPE SEED`"
    try:
        with safe_open(path, "pt") as file:
            about = json.loads(file.metadata()["segmenter"])
            state = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (it is no dict)
        model = build(about["model"], len(about["classes"]))
        model.load_state_dict(state)
    except FileNotFoundError:
        raise GraftError(f"{path}: no such segmenter; {fix}") from None
    except (SafetensorError, OSError, KeyError, TypeError, ValueError, RuntimeError, GraftError):
        raise GraftError(f"{path} is damaged or no segmenter of this version; {fix}") from None
    return model.eval(), tuple(about["classes"])


def _encoder_decoder(backbone: dict[str, Any], decode_head: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "EncoderDecoder",
        "data_preprocessor": {
            "type": "SegDataPreProcessor",
            "mean": [123.675, 116.28, 103.53],  # ImageNet, as every published UDA segmenter
            "std": [58.395, 57.12, 57.375],
            "pad_val": 0,
            "seg_pad_val": IGNORE,
            "size_divisor": STRIDE,
            "test_cfg": {"size_divisor": STRIDE},
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


def _segformer(num_classes: int) -> dict[str, Any]:
    """SegFormer-B0 (Xie et al. 2021, table 6), from random weights."""
    return {
        "backbone": {
            "type": "MixVisionTransformer",
            "embed_dims": 32,
            "num_layers": [2, 2, 2, 2],
            "num_heads": [1, 2, 5, 8],
            "patch_sizes": [7, 3, 3, 3],
            "sr_ratios": [8, 4, 2, 1],
            "out_indices": (0, 1, 2, 3),
            "qkv_bias": True,
            "drop_path_rate": 0.1,
        },
        "decode_head": {
            "type": "SegformerHead",
            "in_channels": [32, 64, 160, 256],
            "in_index": [0, 1, 2, 3],
            "channels": 256,
            "dropout_ratio": 0.1,
            "num_classes": num_classes,
            "norm_cfg": {"type": "BN"},
        },
    }


_NETWORKS: dict[str, Callable[[int], dict[str, Any]]] = {"unet": _unet, "segformer": _segformer}
