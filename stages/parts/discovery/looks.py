"""What a frozen encoder makes of a region: the region alone on grey, or masked pooling of the whole picture's map."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from mmengine.device import get_device
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file

from stages.parts.discovery.pooling import GREY, isolated, pooled, unit
from stages.parts.errors import GraftError
from stages.parts.pretrained.features import Features
from stages.parts.segmenter.networks import build_segmenter

Kind = Literal["isolated", "pooled"]
Maps = Callable[[NDArray[np.uint8]], NDArray[np.float32]]  # (B, H, W, 3) uint8 -> (B, C, h, w)
TOGETHER = 64  # regions in one pass
SIDE = 64  # of a region that is looked at alone by the small encoder; another's is what its processor says


class Look:
    """Collects regions, and gives their features in the order in which they were seen.

    encoder   a folder in transformers' layout, or of the small U-Net's encoder
    kind      isolated: the region alone on grey, filling a square; its map's mean. pooled: the picture's map pooled
              over the region, as published; a cutout, which has no picture around it, is looked at alone
    """

    def __init__(self, encoder: str, kind: Kind) -> None:
        self.maps, self.side = encoder_maps(encoder)
        self.kind, self.waiting, self.done = kind, [], []  # type: ignore[var-annotated]

    def see(self, image: NDArray[np.uint8], masks: Sequence[NDArray[np.bool_]]) -> None:
        """A picture (H, W, 3) uint8 RGB and its regions' masks, (H, W) bool each."""
        if self.kind == "pooled":
            found = self.maps(image[None])[0]
            self.done += [pooled(found, mask) for mask in masks]
            return
        self.waiting += [isolated(image, mask, self.side) for mask in masks]
        if len(self.waiting) >= TOGETHER:
            self._look()

    def see_alone(self, cutout: NDArray[np.uint8]) -> None:
        """An RGBA cutout (h, w, 4) uint8, which has no picture around it."""
        alone = isolated(np.ascontiguousarray(cutout[..., :3]), cutout[..., 3] >= 128, self.side)
        if self.kind == "pooled":
            self.see(alone, [(alone != GREY).any(axis=2)])
        else:
            self.waiting.append(alone)

    def features(self) -> NDArray[np.float32]:
        """(N, C) float32 of unit length of all that was seen since the last call. (0, 0) for nothing."""
        if self.waiting:
            self._look()
        found, self.done = self.done, []
        return np.stack(found).astype(np.float32) if found else np.zeros((0, 0), np.float32)

    def _look(self) -> None:
        maps = self.maps(np.stack(self.waiting))
        self.done += list(unit(maps.mean(axis=(2, 3), dtype=np.float64)))
        self.waiting = []


def encoder_maps(folder: str) -> tuple[Maps, int]:
    """Pictures -> the deepest map of an encoder; and the side of the square that it is shown. GraftError for a folder
    that holds none."""
    path = Path(folder)
    if (path / "config.json").is_file():
        features = Features(path, str(get_device()))
        return features.batch, features._size()[0]
    network = build_segmenter("unet", 2)
    encoder = network.backbone.encoder
    try:
        encoder.load_state_dict(load_file(path / "model.safetensors"))
    except (SafetensorError, OSError, RuntimeError):
        raise GraftError(
            f"params.yaml: ncdss.cluster.encoder: {path} holds neither an encoder in transformers' layout nor that of "
            "the small U-Net; correct it"
        ) from None
    encoder.eval()
    mean, std = network.data_preprocessor.mean, network.data_preprocessor.std

    @torch.inference_mode()
    def maps(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        x = (torch.from_numpy(images).permute(0, 3, 1, 2).float() - mean) / std
        for level in encoder:
            x = level(x)
        return x.numpy()

    return maps, SIDE
