"""Segment images with a trained network."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from mmseg.models import BaseSegmentor
from mmseg.structures import SegDataSample
from numpy.typing import NDArray


def predict(model: BaseSegmentor, images: Sequence[NDArray[np.uint8]]) -> list[NDArray[np.uint8]]:
    """Images of one size, (H, W, 3) uint8 RGB each -> train ids (H, W) uint8 each. No images, no maps."""
    if not images:
        return []
    samples = [SegDataSample(metainfo={"ori_shape": x.shape[:2], "img_shape": x.shape[:2]}) for x in images]
    inputs = [torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1))) for image in images]
    with torch.inference_mode():
        outputs = model.test_step({"inputs": inputs, "data_samples": samples})
    return [output.pred_sem_seg.data[0].cpu().numpy().astype(np.uint8) for output in outputs]
