"""Test-time augmentation: the mean of the class probabilities of a picture at several scales, mirrored too."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from mmseg.models import BaseSegmentor
from mmseg.structures import SegDataSample
from numpy.typing import NDArray
from torch import Tensor


def predict_scales(
    model: BaseSegmentor, images: Sequence[NDArray[np.uint8]], scales: Sequence[float] = (1.0,), flip: bool = False
) -> list[NDArray[np.uint8]]:
    """Images of one size, (H, W, 3) uint8 RGB each -> class ids (H, W) uint8 each; no images, no maps.

    Each is looked at `scales` times its size, bilinearly; one scale without mirror image is the plain argmax."""
    if not images:
        return []
    size = images[0].shape[:2]
    with torch.inference_mode():
        pixels = torch.stack([torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1))) for image in images])
        total: Tensor | None = None
        for scale in scales:
            scaled = [max(1, round(side * scale)) for side in size]
            how = {"mode": "bilinear", "align_corners": False}
            looks = pixels if scale == 1 else F.interpolate(pixels.float(), scaled, **how)  # type: ignore[arg-type]
            for mirrored in (False, True)[: 1 + flip]:
                logits = _logits(model, looks.flip(3) if mirrored else looks, size)
                part = (logits.flip(3) if mirrored else logits).softmax(1)
                total = part if total is None else total + part
        assert total is not None
        return list(total.argmax(dim=1).to(torch.uint8).cpu().numpy())


def _logits(model: BaseSegmentor, pixels: Tensor, size: Sequence[int]) -> Tensor:
    """(B, 3, h, w) in 0..255 -> (B, C, *size): normalised, padded, segmented, cut, and brought to `size`."""
    height, width = pixels.shape[2:]
    samples = [SegDataSample(metainfo={"ori_shape": (height, width), "img_shape": (height, width)}) for _ in pixels]
    inputs = model.data_preprocessor({"inputs": list(pixels), "data_samples": samples}, False)["inputs"]
    logits = model.encode_decode(inputs, [{"img_shape": inputs.shape[2:]}] * len(inputs))[..., :height, :width]
    if (height, width) != tuple(size):
        logits = F.interpolate(logits, list(size), mode="bilinear", align_corners=False)
    return logits
