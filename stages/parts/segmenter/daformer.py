"""DAFormer's decode head (Hoyer et al. 2022, section 3.2): context from all levels of the encoder at once."""

from __future__ import annotations

from typing import Any

import torch
from mmcv.cnn import ConvModule
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.models.decode_heads.sep_aspp_head import DepthwiseSeparableASPPModule
from mmseg.models.utils import resize
from mmseg.registry import MODELS
from torch import Tensor, nn

DILATIONS = (1, 6, 12, 18)


@MODELS.register_module()
class DAFormerHead(BaseDecodeHead):
    """Features (B, C_i, H_i, W_i) of four levels -> logits (B, classes, H_1, W_1).

    Each level is embedded to `channels` by a linear layer and nothing else, brought to the first level's size,
    and all are concatenated: the separable 3 x 3 convolutions of four dilations then see every level at once.
    No image pooling. A convolution to `channels`, dropout, the classifier. (mmsegmentation's SegformerHead
    embeds through batch norm and ReLU: it is another network.)

    light: without those dilations, the levels fused by a 1 x 1 convolution alone, as in HRDA's scale attention.
    """

    def __init__(self, light: bool = False, **kwargs: Any) -> None:
        super().__init__(input_transform="multiple_select", act_cfg={"type": "ReLU"}, **kwargs)
        width = self.channels
        self.embed = nn.ModuleList(nn.Conv2d(channels, width, 1) for channels in self.in_channels)
        layers = {"norm_cfg": self.norm_cfg, "act_cfg": self.act_cfg}
        if light:
            self.context = None
            self.fuse = ConvModule(width * len(self.in_channels), width, 1, **layers)
            return
        self.context = DepthwiseSeparableASPPModule(
            dilations=DILATIONS, in_channels=width * len(self.in_channels), channels=width, conv_cfg=None, **layers
        )
        self.fuse = ConvModule(width * len(DILATIONS), width, 3, padding=1, **layers)

    def forward(self, inputs: list[Tensor]) -> Tensor:
        levels = self._transform_inputs(inputs)
        size = levels[0].shape[2:]
        embedded = [embed(level) for embed, level in zip(self.embed, levels, strict=True)]
        stacked = torch.cat([resize(x, size, mode="bilinear", align_corners=False) for x in embedded], dim=1)
        if self.context is not None:
            stacked = torch.cat(self.context(stacked), dim=1)
        return self.cls_seg(self.fuse(stacked))
