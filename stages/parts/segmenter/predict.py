"""Segment images with a trained network: whole or by overlapping windows, mirrored too if asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from mmseg.structures import SegDataSample
from numpy.typing import NDArray
from torch import Tensor

if TYPE_CHECKING:  # at run time stages.segmenter imports it first, and keeps it from warning
    from mmseg.models import BaseSegmentor

Size = tuple[int, int]  # height, width
Logits = Callable[[Tensor], Tensor]  # (B, 3, H, W) -> (B, C, H, W)


@dataclass(frozen=True)
class View:
    """How an image is looked at.

    size: brought to this height and width first, bilinearly as in training (None: as it is); window: in windows of
    this size, every `stride` pixels (None: whole); flip: the mean of the class probabilities of it and its mirror
    image.
    """

    size: Size | None = None
    window: Size | None = None
    stride: Size | None = None
    flip: bool = False


def predict(model: BaseSegmentor, images: Sequence[NDArray[np.uint8]], view: View = View()) -> list[NDArray[np.uint8]]:
    """Images of one size, (H, W, 3) uint8 RGB each -> train ids (H, W) uint8 each. No images, no maps."""
    if not images:
        return []
    height, width = images[0].shape[:2]
    with torch.inference_mode():
        pixels = torch.stack([torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1))) for image in images])
        if view.size and view.size != (height, width):
            pixels = F.interpolate(pixels.float(), view.size, mode="bilinear", align_corners=False)
        looks = [pixels, pixels.flip(3)] if view.flip else [pixels]
        logits = [_logits(model, look, view) for look in looks]
        if view.flip:
            logits = [(logits[0].softmax(1) + logits[1].flip(3).softmax(1)) / 2]
        if logits[0].shape[2:] != (height, width):
            logits = [F.interpolate(logits[0], (height, width), mode="bilinear", align_corners=False)]
        return list(logits[0].argmax(dim=1).to(torch.uint8).cpu().numpy())


def _logits(model: BaseSegmentor, pixels: Tensor, view: View) -> Tensor:
    """(B, 3, H, W) in 0..255 -> (B, C, H, W): normalised, padded, segmented, and cut to size again."""
    height, width = pixels.shape[2:]
    samples = [SegDataSample(metainfo={"ori_shape": (height, width), "img_shape": (height, width)}) for _ in pixels]
    data = model.data_preprocessor({"inputs": list(pixels), "data_samples": samples}, False)
    inputs = data["inputs"]

    def whole(images: Tensor) -> Tensor:
        return model.encode_decode(images, [{"img_shape": images.shape[2:]}] * len(images))

    logits = whole(inputs) if view.window is None else slide(whole, inputs, view.window, view.stride or view.window)
    return logits[..., :height, :width]


def slide(segment: Logits, images: Tensor, window: Size, stride: Size) -> Tensor:
    """Mean logits (B, C, H, W) of the overlapping windows that cover the images.

    The last window of a row or column is moved back inside; an image smaller than a window is one window.
    Each window position is one forward pass over the batch.
    """
    total: Tensor | None = None
    times = images.new_zeros(1, 1, *images.shape[2:])
    for rows, cols in windows(images.shape[2:], window, stride):
        logits = segment(images[..., rows, cols])
        if total is None:
            total = logits.new_zeros(len(images), logits.shape[1], *images.shape[2:])
        total[..., rows, cols] += logits
        times[..., rows, cols] += 1
    assert total is not None
    return total / times


def windows(shape: Sequence[int], window: Size, stride: Size) -> Iterator[tuple[slice, slice]]:
    """Rows and columns of each window, from the upper left corner on."""
    starts = [
        [min(k * step, max(0, side - length)) for k in range(1 + max(0, -(-(side - length) // step)))]
        for side, length, step in zip(shape, window, stride, strict=True)
    ]
    for row in starts[0]:
        for col in starts[1]:
            yield slice(row, row + window[0]), slice(col, col + window[1])
