"""HRDA (Hoyer et al. 2022): one network looks at the whole at half size and at a detail at full size."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from mmseg.models import EncoderDecoder
from mmseg.models.utils import resize
from mmseg.registry import MODELS
from torch import Tensor

GRID = 8  # pixels: a detail begins at a multiple, so that it begins on a cell of every map of either view

Corner = tuple[int, int]  # row, column of a detail's upper left pixel


class Views(NamedTuple):
    """fused: logits (B, C, H/s, W/s); detail: logits of the details; context: the encoder's levels at half size."""

    fused: Tensor
    detail: Tensor
    context: list[Tensor]


@MODELS.register_module()
class HRDA(EncoderDecoder):
    """An EncoderDecoder with a second, light head: how far each class trusts the detail, at each place.

    detail: height and width in pixels of the detail crop, multiples of 32. Encoder and decode head are shared
    by both views. Images (B, 3, H, W), H and W multiples of 64 and at least the detail's.
    """

    def __init__(self, attention_head: dict[str, Any], detail: tuple[int, int], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.attention_head = MODELS.build(attention_head)
        self.detail = detail

    def look(self, images: Tensor, corners: list[Corner]) -> Views:
        """Training: the context, and of each image the one detail whose corner is given."""
        height, width = self.detail
        pairs = zip(images, corners, strict=True)
        details = torch.stack([image[:, row : row + height, col : col + width] for image, (row, col) in pairs])
        features, coarse = self._context(images)
        logits = self.decode_head(self.extract_feat(details))
        step = height // logits.shape[2]  # pixels per cell of the detail's logits
        canvas = logits.new_zeros(*coarse.shape[:2], 2 * coarse.shape[2], 2 * coarse.shape[3])
        seen = coarse.new_zeros(len(images), 1, *coarse.shape[2:])
        rows, cols = (side // step for side in self.detail)
        for k, (row, col) in enumerate((row // step, col // step) for row, col in corners):
            canvas[k, :, row : row + rows, col : col + cols] = logits[k]
            seen[k, :, row // 2 : (row + rows) // 2, col // 2 : (col + cols) // 2] = 1
        return Views(fuse(coarse, canvas, self._attention(features) * seen), logits, features)

    def fused(self, images: Tensor) -> Tensor:
        """Inference: details slide over the image by half their size; the mean of those that overlap."""
        height, width = self.detail
        corners = [
            (row, col)
            for row in _starts(images.shape[2], height, height // 2)
            for col in _starts(images.shape[3], width, width // 2)
        ]
        features, coarse = self._context(images)
        details = torch.cat([images[:, :, row : row + height, col : col + width] for row, col in corners])
        logits = self.decode_head(self.extract_feat(details)).split(len(images))
        step = height // logits[0].shape[2]
        canvas = logits[0].new_zeros(*coarse.shape[:2], 2 * coarse.shape[2], 2 * coarse.shape[3])
        times = canvas.new_zeros(1, 1, *canvas.shape[2:])
        for (row, col), one in zip(corners, logits, strict=True):
            place = (..., slice(row // step, (row + height) // step), slice(col // step, (col + width) // step))
            canvas[place] += one
            times[place] += 1
        return fuse(coarse, canvas / times, self._attention(features))

    def encode_decode(self, inputs: Tensor, batch_img_metas: Any) -> Tensor:
        return resize(self.fused(inputs), inputs.shape[2:], mode="bilinear", align_corners=self.align_corners)

    def _context(self, images: Tensor) -> tuple[list[Tensor], Tensor]:
        half = F.interpolate(images, scale_factor=0.5, mode="bilinear", align_corners=False)
        features = self.extract_feat(half.contiguous(memory_format=torch.channels_last))
        return features, self.decode_head(features)

    def _attention(self, features: list[Tensor]) -> Tensor:
        """(B, C, h, w) in 0..1: one for each class, on the grid of the context's logits."""
        return self.attention_head(features).sigmoid()


def fuse(coarse: Tensor, detail: Tensor, attention: Tensor) -> Tensor:
    """(B, C, h, w), (B, C, 2h, 2w), (B, C, h, w) in 0..1 -> (B, C, 2h, 2w): HRDA's equation of fusion.

    up((1 - a) * coarse) + up(a) * detail, `up` bilinear. Where a = 0 the context alone is seen.
    """
    size = detail.shape[2:]
    base = resize((1 - attention) * coarse, size, mode="bilinear", align_corners=False)
    return base + resize(attention, size, mode="bilinear", align_corners=False) * detail


def _starts(side: int, length: int, step: int) -> list[int]:
    return [min(k * step, side - length) for k in range(1 + max(0, -(-(side - length) // step)))]
