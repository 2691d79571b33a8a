"""The line's own backbone and heads, by which mmsegmentation's registry builds networks.py's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from mmengine.model import BaseModule
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.registry import MODELS
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models.segmentation.deeplabv3 import ASPP

from stages.parts.segmenter.networks import build_segmenter

RATES = [12, 24, 36]  # of ASPP
LEVELS = [24, 48, 96, 192]  # channels of the small encoder, at strides 2, 4, 8, 16


@MODELS.register_module()
class FrozenEncoder(BaseModule):
    """The small U-Net's encoder as it comes: (B, 3, H, W) -> four maps. It learns nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = build_segmenter("unet", 2).backbone.encoder.requires_grad_(False)

    @torch.no_grad()
    def forward(self, images: Tensor) -> list[Tensor]:
        maps = []
        for level in self.encoder:
            images = level(images)
            maps.append(images)
        return maps


@MODELS.register_module()
class PyramidHead(BaseDecodeHead):
    """From the deepest map on: enlarged, added to the next one's 1 x 1 convolution, smoothed by a 3 x 3 one."""

    def __init__(self, **options: Any) -> None:
        super().__init__(input_transform="multiple_select", dropout_ratio=0.0, **options)
        self.lateral = nn.ModuleList(nn.Conv2d(wide, self.channels, 1) for wide in self.in_channels)
        self.smooth = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(self.channels, self.channels, 3, padding=1, bias=False),
                nn.GroupNorm(8, self.channels),
                nn.ReLU(),
            )
            for _ in self.in_channels
        )

    def forward(self, inputs: list[Tensor]) -> Tensor:
        x: Tensor | None = None
        for k in reversed(range(len(inputs))):
            side = self.lateral[k](inputs[k])
            if x is not None:
                side = side + F.interpolate(x, side.shape[2:], mode="bilinear", align_corners=False)
            x = self.smooth[k](side)
        return self.cls_seg(x)


@MODELS.register_module()
class DeepLabV3Head(BaseDecodeHead):
    """ASPP (12, 24, 36, 1 x 1, pooled) of 256 channels, dropout 0.5, a 3 x 3 convolution, the classifier [2.1]."""

    def __init__(self, **options: Any) -> None:
        super().__init__(channels=256, dropout_ratio=0.0, **options)
        self.aspp = ASPP(self.in_channels, RATES, self.channels)
        self.last = nn.Sequential(
            nn.Conv2d(256, 256, 3, padding=1, bias=False), nn.BatchNorm2d(256), nn.ReLU(inplace=True)
        )

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        return self.cls_seg(self.last(self.aspp(inputs[self.in_index])))
