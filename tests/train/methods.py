"""The section `train` at the small world's values, and a batch that any method trains on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample

from stages.parts.datasets.labels import LABELS
from stages.parts.sections import read
from stages.parts.segmenter.networks import build_segmenter
from stages.train.methods import METHODS, Name
from stages.train.params import Params, Train
from stages.train.selftraining import SelfTraining

STRONG = {"jitter_probability": 1.0, "jitter": 0.2, "blur_probability": 1.0}
SETTINGS = read(Params, Path(__file__).parents[2] / "params.yaml").train.model_copy(update=STRONG)


def changed(settings: Train, **changes: Any) -> Train:
    """The section with other values; those of a table of its own are named by table: masking={"block": 4}."""
    tables = {key: new for key, new in changes.items() if isinstance(new, dict)}
    inner = {key: getattr(settings, key).model_copy(update=new) for key, new in tables.items()}
    return settings.model_copy(update=changes | inner)


def model(method: Name = "dacs", network: str = "unet", **changes: Any) -> SelfTraining:
    torch.manual_seed(0)
    detail = (32, 64) if METHODS[method].detail else None
    return SelfTraining(build_segmenter(network, 19, detail), changed(SETTINGS, method=method, **changes), LABELS)


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
