"""Features of a frozen backbone, computed where they are used, and kept in memory as far as they fit."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from stages.parts.errors import GraftError
from stages.parts.pretrained.backbones import Backbone, finite_features, open_backbone

MEMORY = 3 << 30  # bytes; what goes beyond them is computed again whenever it is needed


def pixels(images: Sequence[NDArray[np.uint8]]) -> Tensor:
    """Pictures of one size, (H, W, 3) uint8 -> (B, 3, H, W) float32 in [0, 1]. GraftError for two sizes."""
    if len({image.shape for image in images}) > 1:
        raise GraftError(
            "the pictures have several sizes; set params.yaml primaps.size, shortest and square, so that they share one"
        )
    return torch.from_numpy(np.ascontiguousarray(np.stack(images).transpose(0, 3, 1, 2))).float() / 255


class KeptFeatures:
    """Pictures (B, 3, H, W) float32 RGB in [0, 1] -> features (B, C, h, w) float32 on the CPU, rounded to float16, so
    that it makes no difference whether they were kept."""

    def __init__(self, source: str, revision: str | None, shifts: int, device: str) -> None:
        self.backbone: Backbone = open_backbone(source, revision, shifts, device)
        self.source, self.kept, self.bytes = source, dict[tuple[str, ...], Tensor](), 0

    @torch.inference_mode()
    def __call__(self, pictures: Tensor) -> Tensor:
        """GraftError as of finite_features."""
        return finite_features(self.backbone, pictures, self.source).half().float().cpu()

    def named(self, name: tuple[str, ...], pictures: Callable[[], Tensor]) -> Tensor:
        """The features of what `pictures` gives, which must be the same whenever it has this name."""
        if name in self.kept:
            return self.kept[name].float()
        features = self(pictures())
        if self.bytes + 2 * features.numel() <= MEMORY:
            self.kept[name] = features.half()
            self.bytes += 2 * features.numel()
        return features.clone()  # outside of inference mode, for a head to learn from

    def mirrored(self, name: tuple[str, ...], pictures: Callable[[], Tensor]) -> Tensor:
        """The mean of a picture's features and its mirror image's, mirrored back (PriMaPs' evaluation)."""
        other = self.named((*name, "mirrored"), lambda: pictures().flip(3))
        return (self.named(name, pictures) + other.flip(3)) / 2
