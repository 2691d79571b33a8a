"""Every option of the losses, at the small world's values, and a batch that any method trains on."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample

from stages.parts import segmenter
from stages.train.methods import METHODS, Name, Options
from stages.train.selftraining import SelfTraining

OPTIONS = Options(
    threshold=0.968, quality_per="batch", classes_of="batch", margin=(0, 0, 0, 0), margin_of="crop",
    jitter_probability=1.0, jitter=0.2, blur_probability=1.0, teacher_norm="batch",
    distance_weight=0.005, distance_ratio=0.75, distance_classes=(13, 14, 15, 16),
    detail_weight=0.1, mask_weight=1.0, mask_ratio=0.7, mask_block=8,
)  # fmt: skip


def model(method: Name = "dacs", network: str = "unet", **changes: Any) -> SelfTraining:
    torch.manual_seed(0)
    detail = (32, 64) if METHODS[method].detail else None
    return SelfTraining(segmenter.build(network, 19, detail), METHODS[method], replace(OPTIONS, **changes))


def batch(size: int = 2, height: int = 64, width: int = 128, target: bool = True) -> dict:
    """Noise: source images with labels in blocks of 8 x 8 pixels, other classes in each, target images without."""
    rng = np.random.default_rng(0)
    sides = ("source", "target") if target else ("source",)
    data: dict = {name: {side: [] for side in sides} for name in ("inputs", "data_samples")}
    for k in range(size):
        for side in sides:
            image = torch.from_numpy(rng.integers(0, 255, (3, height, width), dtype=np.uint8))
            size_ = (height, width)
            about = {"seed": 0, "draw": k, "flip": False, "whole_shape": size_, "box": (0, 0, *size_)}
            sample = SegDataSample(metainfo=about | {"img_shape": size_})
            if side == "source":
                labels = np.kron(
                    rng.integers(6 * k, 6 * k + 9, (height // 8, width // 8)) % 19, np.ones((8, 8), np.int64)
                )
                sample.gt_sem_seg = PixelData(data=torch.from_numpy(labels)[None])
            data["inputs"][side].append(image)
            data["data_samples"][side].append(sample)
    return data


def losses(segmentor: SelfTraining, data: dict) -> dict[str, torch.Tensor]:
    return segmentor(**segmentor.data_preprocessor(data, True), mode="loss")
