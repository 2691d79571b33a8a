"""The line's networks by name, their heads, and their files: float16 safetensors, so that nothing is unpickled."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from mmengine import ConfigDict
from mmengine.registry import DefaultScope
from mmseg.models import EncoderDecoder
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors import torch as tensors
from torch import Tensor, nn
from torchvision.models.segmentation.deeplabv3 import ASPP

from stages.parts.datasets.labels import IGNORE
from stages.parts.errors import GraftError
from stages.parts.segmenter.networks import build_segmenter
from stages.parts.store.atomic import write_whole
from stages.parts.store.pictures import png_array
from stages.parts.store.shards import Shards

NAMES = ("unet", "deeplabv3-r50")
RATES = [12, 24, 36]  # of ASPP


@MODELS.register_module()
class DeepLabV3Head(BaseDecodeHead):
    """ASPP (12, 24, 36, 1 x 1, pooled) of 256 channels, dropout 0.5, a 3 x 3 convolution, the classifier [2.1]."""

    def __init__(self, **options: object) -> None:
        super().__init__(channels=256, dropout_ratio=0.0, **options)
        self.aspp = ASPP(self.in_channels, RATES, self.channels)
        self.last = nn.Sequential(
            nn.Conv2d(256, 256, 3, padding=1, bias=False), nn.BatchNorm2d(256), nn.ReLU(inplace=True)
        )

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        return self.cls_seg(self.last(self.aspp(inputs[self.in_index])))


def build_network(name: str, outputs: int) -> EncoderDecoder:
    """A network with random weights, by one of NAMES: the small U-Net, or DeepLabv3 on a ResNet-50 of output stride 8,
    whose stem and first two layers are frozen and whose backbone's norms stay in evaluation mode, as published."""
    if name == "unet":
        return build_segmenter(name, outputs)
    config = {
        "type": "EncoderDecoder",
        "data_preprocessor": {
            "type": "SegDataPreProcessor", "mean": [123.675, 116.28, 103.53], "std": [58.395, 57.12, 57.375],
            "pad_val": 0, "seg_pad_val": IGNORE, "size_divisor": 8, "test_cfg": {"size_divisor": 8},
        },
        "backbone": {
            "type": "ResNet", "depth": 50, "num_stages": 4, "out_indices": (0, 1, 2, 3), "strides": (1, 2, 1, 1),
            "dilations": (1, 1, 2, 4), "contract_dilation": True, "style": "pytorch", "frozen_stages": 2,
            "norm_eval": True, "norm_cfg": {"type": "BN"},
        },
        "decode_head": {
            "type": "DeepLabV3Head", "in_channels": 2048, "in_index": 3, "num_classes": outputs,
            "align_corners": False, "loss_decode": {"type": "CrossEntropyLoss"},
        },
        "test_cfg": {"mode": "whole"},
    }  # fmt: skip
    with DefaultScope.overwrite_default_scope("mmseg"):
        return MODELS.build(ConfigDict(config))


def encoder_of(network: EncoderDecoder) -> nn.Module:
    """What may come with pretrained weights: all but the decoder."""
    return getattr(network.backbone, "encoder", network.backbone)


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


def save_network(network: EncoderDecoder, path: Path, name: str, classes: Sequence[str]) -> None:
    """Weights as float16, the network's name and what its outputs are. The same weights give the same bytes."""
    state = {key: _half(value.detach().cpu().contiguous()) for key, value in network.state_dict().items()}
    write_whole(path, tensors.save(state, {"network": json.dumps({"name": name, "classes": list(classes)})}))


def load_network(path: Path) -> tuple[EncoderDecoder, tuple[str, ...]]:
    """The network of a file, in float32 and evaluation mode, and what its outputs are. GraftError for a bad file."""
    fix = "run `dvc repro lines/ncdss/dvc.yaml` to train it again"
    try:
        with safe_open(path, "pt") as file:
            about = json.loads(file.metadata()["network"])
            state = {key: file.get_tensor(key).float() for key in file.keys()}  # noqa: SIM118 (it is no dict)
        network = build_network(about["name"], len(about["classes"]))
        network.load_state_dict(state)
    except FileNotFoundError:
        raise GraftError(f"{path}: no such network; {fix}") from None
    except (SafetensorError, OSError, KeyError, TypeError, ValueError, RuntimeError):
        raise GraftError(f"{path} is damaged or no network of this version; {fix}") from None
    return network.eval(), tuple(about["classes"])


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
