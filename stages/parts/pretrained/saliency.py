"""What stands out in a picture, as a map in [0, 1]: one call for a small U2-Net, an ONNX one, and mask models.

Qin et al., "U2-Net: Going Deeper with Nested U-Structure for Salient Object Detection", Pattern Recognition 2020;
Zheng et al., "Bilateral Reference for High-Resolution Dichotomous Image Segmentation" (BiRefNet), 2024.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional as F

from stages.parts.errors import GraftError
from stages.parts.pretrained.header import BACK, check_weights
from stages.parts.pretrained.weights import WEIGHTS, load, load_model

SMALL = "small_u2net"
ONNX_SIDE = 320  # what U2-Net was trained at
MEAN, STD = np.array([0.485, 0.456, 0.406], np.float32), np.array([0.229, 0.224, 0.225], np.float32)

Map = NDArray[np.float32]


class Saliency(Protocol):
    """image (H, W, 3) uint8 RGB -> float32 (H, W) in [0, 1]: how much each pixel belongs to what stands out."""

    def __call__(self, image: NDArray[np.uint8]) -> Map: ...


def load_saliency(path: Path, device: str = "cpu") -> Saliency:
    """The saliency model at a path: a file .onnx (U2-Net and its kin), or a folder: that of the small U2-Net, or of a
    transformers model for semantic segmentation that returns one mask.

    Raises GraftError naming the path when it is none of them, or damaged."""
    if path.is_file() and path.suffix == ".onnx":
        return OnnxSaliency(path)
    if not (path / "config.json").is_file():
        raise GraftError(f"{path} is no saliency model: name an .onnx file or a folder with a config.json; {BACK}")
    try:
        config = json.loads((path / "config.json").read_text())
    except ValueError:
        raise GraftError(f"{path / 'config.json'} is damaged; {BACK}") from None
    return SmallSaliency(path, device) if config.get("model_type") == SMALL else MaskSaliency(path, device)


class Block(nn.Module):
    """A residual U-block: convolutions down `depth` levels and up again inside of one stage of the network."""

    def __init__(self, wide: int, inner: int, out: int, depth: int) -> None:
        super().__init__()
        self.enter = _convolution(wide, out)
        self.down = nn.ModuleList(_convolution(out if k == 0 else inner, inner) for k in range(depth))
        self.bottom = _convolution(inner, inner, dilation=2)
        self.up = nn.ModuleList(_convolution(2 * inner, inner if k else out) for k in range(depth))

    def forward(self, x: Tensor) -> Tensor:
        entered = x = self.enter(x)
        kept = []
        for k, level in enumerate(self.down):
            x = level(x if k == 0 else F.max_pool2d(x, 2, ceil_mode=True))
            kept.append(x)
        x = self.bottom(x)
        for k in reversed(range(len(kept))):
            x = F.interpolate(x, size=kept[k].shape[2:], mode="bilinear", align_corners=False)
            x = self.up[k](torch.cat([x, kept[k]], dim=1))
        return entered + x


def _convolution(wide: int, out: int, dilation: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(wide, out, 3, padding=dilation, dilation=dilation, bias=False), nn.GroupNorm(4, out), nn.ReLU()
    )


class SmallU2Net(nn.Module):
    """Four stages down, three up, a side output of each, and their fusion: (B, 3, H, W) in 0..1 -> five logits
    (B, 1, H, W), the fused one first."""

    def __init__(self, inner: int = 12, wide: int = 24) -> None:
        super().__init__()
        self.sizes = {"inner": inner, "wide": wide}
        self.encoder = nn.ModuleList(
            Block(3 if k == 0 else wide, inner, wide, depth) for k, depth in enumerate((4, 3, 2, 1))
        )
        self.decoder = nn.ModuleList(Block(2 * wide, inner, wide, depth) for depth in (4, 3, 2))
        self.sides = nn.ModuleList(nn.Conv2d(wide, 1, 3, padding=1) for _ in range(4))
        self.fuse = nn.Conv2d(4, 1, 1)

    def forward(self, images: Tensor) -> list[Tensor]:
        x, kept = (images - 0.5) * 4, []
        for k, stage in enumerate(self.encoder):
            x = stage(x if k == 0 else F.max_pool2d(x, 2, ceil_mode=True))
            kept.append(x)
        outs = [self.sides[3](x)]
        for k in (2, 1, 0):
            x = F.interpolate(x, size=kept[k].shape[2:], mode="bilinear", align_corners=False)
            x = self.decoder[k](torch.cat([x, kept[k]], dim=1))
            outs.append(self.sides[k](x))
        size = images.shape[2:]
        outs = [F.interpolate(out, size=size, mode="bilinear", align_corners=False) for out in outs]
        return [self.fuse(torch.cat(outs, dim=1)), *outs]


def save(model: SmallU2Net, folder: Path) -> None:
    """config.json and model.safetensors, in float32."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps({"model_type": SMALL, **model.sizes}, indent=2) + "\n")
    save_file({name: value.contiguous() for name, value in model.state_dict().items()}, folder / WEIGHTS)


class SmallSaliency:
    """The small U2-Net of a folder. The picture is seen as it is."""

    def __init__(self, folder: Path, device: str = "cpu") -> None:
        check_weights(folder / WEIGHTS)
        config = json.loads((folder / "config.json").read_text())
        try:
            model = SmallU2Net(config["inner"], config["wide"])
            model.load_state_dict({name: value.float() for name, value in load_file(folder / WEIGHTS).items()})
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise GraftError(f"{folder} is no small U2-Net: {' '.join(str(error).split())[:200]}; {BACK}") from None
        self.model, self.device = model.eval().to(device), device

    @torch.inference_mode()
    def __call__(self, image: NDArray[np.uint8]) -> Map:
        pixels = torch.from_numpy(image.astype(np.float32) / 255).permute(2, 0, 1)[None].to(self.device)
        return self.model(pixels)[0].sigmoid()[0, 0].float().cpu().numpy()


class OnnxSaliency:
    """A U2-Net in ONNX, read by OpenCV: the picture as a square of 320 pixels, its first output stretched to [0, 1]
    as published."""

    def __init__(self, path: Path) -> None:
        try:
            self.net = cv2.dnn.readNetFromONNX(str(path))
        except cv2.error as error:
            raise GraftError(f"{path} is no ONNX model that OpenCV reads ({str(error).split(chr(10))[0]})") from None
        self.path = path

    def __call__(self, image: NDArray[np.uint8]) -> Map:
        height, width = image.shape[:2]
        square = cv2.resize(image, (ONNX_SIDE, ONNX_SIDE), interpolation=cv2.INTER_AREA).astype(np.float32)
        pixels = (square / max(float(square.max()), 1e-6) - MEAN) / STD  # over its maximum, as U2-Net was trained
        self.net.setInput(pixels.transpose(2, 0, 1)[None])
        found = np.asarray(self.net.forward(self.net.getUnconnectedOutLayersNames()[0]))[0, 0]
        low, high = float(found.min()), float(found.max())
        stretched = (found - low) / max(high - low, 1e-6)
        return cv2.resize(stretched, (width, height), interpolation=cv2.INTER_LINEAR).astype(np.float32).clip(0, 1)


class MaskSaliency:
    """A model of transformers for semantic segmentation with one class, or with background and object."""

    def __init__(self, folder: Path, device: str = "cpu") -> None:
        from transformers import AutoImageProcessor, AutoModelForSemanticSegmentation

        self.model = load_model(AutoModelForSemanticSegmentation, folder).to(device)
        self.processor, self.device, self.folder = load(AutoImageProcessor, folder), device, folder

    @torch.inference_mode()
    def __call__(self, image: NDArray[np.uint8]) -> Map:
        pixels = self.processor(images=image, return_tensors="pt")["pixel_values"].to(self.device)
        logits = self.model(pixel_values=pixels).logits.float()
        if logits.ndim != 4 or logits.shape[1] > 2:
            raise GraftError(f"{self.folder} tells {logits.shape[1]} classes apart; a saliency model has one mask")
        if logits.shape[1] == 2:  # background and object
            logits = logits[:, 1:] - logits[:, :1]
        sized = F.interpolate(logits, size=image.shape[:2], mode="bilinear", align_corners=False)
        return sized[0, 0].sigmoid().cpu().numpy()
