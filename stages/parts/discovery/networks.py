"""The line's networks by name, and their files: what was trained, as float16 safetensors, so that nothing is unpickled.

fpn             the small U-Net's encoder, frozen, under a feature pyramid of 48 channels (Lin et al. 2017): 0.1 M
                weights to learn, a tenth of the U-Net's
unet            the small U-Net, all of it trained
deeplabv3-r50   DeepLabv3 on a ResNet-50 of output stride 8, as published [2.1]
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from mmengine import ConfigDict
from mmengine.device import get_device
from mmengine.registry import DefaultScope
from mmseg.models import EncoderDecoder
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors import torch as tensors
from torch import Tensor, nn

from stages.parts.datasets.labels import IGNORE
from stages.parts.discovery.heads import LEVELS
from stages.parts.errors import GraftError
from stages.parts.segmenter.networks import build_segmenter
from stages.parts.store.atomic import write_whole
from stages.parts.store.pictures import png_array
from stages.parts.store.shards import Shards

# Backbone, head and the stride that pictures are padded to. Of the ResNet the stem and two layers are frozen, and its
# norms stay in evaluation mode, as published.
CONFIGS: dict[str, tuple[dict[str, Any], dict[str, Any], int]] = {
    "fpn": (
        {"type": "FrozenEncoder"},
        {"type": "PyramidHead", "in_channels": LEVELS, "in_index": [0, 1, 2, 3], "channels": 48},
        16,
    ),
    "deeplabv3-r50": (
        {
            "type": "ResNet", "depth": 50, "num_stages": 4, "out_indices": (0, 1, 2, 3), "strides": (1, 2, 1, 1),
            "dilations": (1, 1, 2, 4), "contract_dilation": True, "style": "pytorch", "frozen_stages": 2,
            "norm_eval": True, "norm_cfg": {"type": "BN"},
        },
        {"type": "DeepLabV3Head", "in_channels": 2048, "in_index": 3},
        8,
    ),
}  # fmt: skip


def build_network(name: str, outputs: int) -> EncoderDecoder:
    """A network with random weights, by name; its data_preprocessor takes RGB uint8 images."""
    if name == "unet":
        return build_segmenter(name, outputs)
    backbone, head, stride = CONFIGS[name]
    config = {
        "type": "EncoderDecoder",
        "data_preprocessor": {
            "type": "SegDataPreProcessor",
            "mean": [123.675, 116.28, 103.53],
            "std": [58.395, 57.12, 57.375],
            "pad_val": 0,
            "seg_pad_val": IGNORE,
            "size_divisor": stride,
            "test_cfg": {"size_divisor": stride},
        },
        "backbone": backbone,
        "decode_head": head
        | {"num_classes": outputs, "align_corners": False, "loss_decode": {"type": "CrossEntropyLoss"}},
        "test_cfg": {"mode": "whole"},
    }
    with DefaultScope.overwrite_default_scope("mmseg"):
        return MODELS.build(ConfigDict(config))


def encoder_of(network: EncoderDecoder) -> nn.Module:
    """What may come with pretrained weights: all but the decoder."""
    return getattr(network.backbone, "encoder", network.backbone)


def load_pretrained(network: EncoderDecoder, folder: str) -> None:
    """Give the encoder the weights of a folder's model.safetensors (of a ResNet without its classifier, fc). GraftError
    where they are missing, damaged or another network's."""
    path = Path(folder, "model.safetensors")
    try:
        state = {name: value for name, value in tensors.load_file(path).items() if not name.startswith("fc.")}
        encoder_of(network).load_state_dict(state)
    except (SafetensorError, OSError, RuntimeError):
        raise GraftError(
            f"params.yaml: ncdss.network.encoder: {path} is missing, damaged or the encoder of another network; "
            "correct it, or set it to null"
        ) from None


def start_from(network: EncoderDecoder, known: EncoderDecoder) -> None:
    """Give the network the weights of one with fewer or other outputs; of the classifier the first outputs, which are
    background and base classes in both. The outputs beyond keep their random weights."""
    state, own = known.state_dict(), network.state_dict()
    for name, value in own.items():
        given = state[name]
        if given.shape == value.shape:
            value.copy_(given)
        else:
            rows = min(len(given), len(value))
            value[:rows].copy_(given[:rows])


def save_network(
    network: EncoderDecoder, path: Path, name: str, classes: Sequence[str], encoder: str | None = None
) -> None:
    """Weights as float16, the network's name, what its outputs are, and where the frozen encoder's weights lie, which
    are not written again. The same weights give the same bytes."""
    left_out = encoder if name == "fpn" else None
    state = {
        key: _half(value.detach().cpu().contiguous())
        for key, value in network.state_dict().items()
        if not (left_out and key.startswith("backbone."))
    }
    about: dict[str, Any] = {"name": name, "classes": list(classes)}
    if left_out:
        about |= {"encoder": left_out, "sha256": _digest(left_out)}
    write_whole(path, tensors.save(state, {"network": json.dumps(about)}))


def load_network(path: Path) -> tuple[EncoderDecoder, tuple[str, ...]]:
    """The network of a file, in float32 and evaluation mode, on a GPU if there is one, and what its outputs are.
    GraftError for a bad file, and where the frozen encoder is not the one that it was trained on."""
    fix = "run `dvc repro lines/ncdss/dvc.yaml` to train it again"
    try:
        with safe_open(path, "pt") as file:
            about = json.loads(file.metadata()["network"])
            state = {key: file.get_tensor(key).float() for key in file.keys()}  # noqa: SIM118 (it is no dict)
        network = build_network(about["name"], len(about["classes"]))
        if "encoder" in about:
            if _digest(about["encoder"]) != about["sha256"]:
                raise GraftError(f"{path} was trained on another {about['encoder']}; {fix}")
            load_pretrained(network, about["encoder"])
            state |= {name: value for name, value in network.state_dict().items() if name.startswith("backbone.")}
        network.load_state_dict(state)
    except FileNotFoundError:
        raise GraftError(f"{path}: no such network; {fix}") from None
    except (SafetensorError, OSError, KeyError, TypeError, ValueError, RuntimeError):
        raise GraftError(f"{path} is damaged or no network of this version; {fix}") from None
    return network.eval().to(get_device()), tuple(about["classes"])


def _digest(folder: str) -> str:
    return hashlib.sha256(Path(folder, "model.safetensors").read_bytes()).hexdigest()


def _half(value: Tensor) -> Tensor:
    return value.half() if value.dtype == torch.float32 else value


def together(
    shards: Shards, uids: Sequence[str], size: Sequence[int] | None = None, count: int = 32
) -> Iterator[tuple[list[str], list[NDArray[np.uint8]]]]:
    """Pictures in groups that one pass can take: uids and images of at most `count` that follow each other and are of
    one size, or are brought to one (height, width)."""
    group: list[str] = []
    images: list[NDArray[np.uint8]] = []
    for uid in uids:
        image = png_array(shards.read(uid)["image.png"])
        if size:
            image = np.asarray(cv2.resize(image, (size[1], size[0]), interpolation=cv2.INTER_LINEAR), dtype=np.uint8)
        if images and (image.shape != images[0].shape or len(images) == count):
            yield group, images
            group, images = [], []
        group.append(uid)
        images.append(image)
    if images:
        yield group, images


@torch.inference_mode()
def probabilities(network: EncoderDecoder, images: Sequence[NDArray[np.uint8]]) -> Tensor:
    """Images of one size, (H, W, 3) uint8 RGB each -> class probabilities (B, C, H, W) float32, on the CPU."""
    height, width = images[0].shape[:2]
    pixels = [torch.from_numpy(image.transpose(2, 0, 1).copy()) for image in images]
    samples = [SegDataSample(metainfo={"ori_shape": (height, width), "img_shape": (height, width)}) for _ in pixels]
    inputs = network.data_preprocessor({"inputs": pixels, "data_samples": samples}, False)["inputs"]
    logits = network.encode_decode(inputs, [{"img_shape": inputs.shape[2:]}] * len(inputs))
    return logits[..., :height, :width].softmax(dim=1).cpu()
