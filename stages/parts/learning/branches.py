"""Pairs of one labelled source image and one unlabelled target image."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from mmengine.structures import PixelData
from mmseg.registry import DATASETS
from mmseg.structures import SegDataSample
from numpy.typing import NDArray
from torch.utils.data import Dataset

from stages.parts.datasets.labels import IGNORE, LABELS
from stages.parts.errors import GraftError
from stages.parts.learning.rare_classes import RareClasses
from stages.parts.store.samples import Shards, png_array
from stages.parts.store.streams import draw_stream

Results = dict[str, Any]
Pipeline = Sequence[Callable[[Results], Results]]

ABOUT = ("seed", "draw", "uid", "box", "whole_shape", "flip")  # what a data sample tells of where it comes from


@DATASETS.register_module()
class SourceTarget(Dataset):
    """Training pairs by the number of their draw: {"inputs": {"source", "target"}, "data_samples": {...}}.

    Inputs are (3, H, W) uint8 RGB. The source sample carries gt_sem_seg (1, H, W) int64, the target sample
    none: the target's labels are never opened. Without a target there is no such branch. Each side runs through
    its images in an order of its own, shuffled anew for each pass; with rare class sampling the source images are
    drawn by it instead, and the results tell the pipeline which class is wanted: ("wanted": (class, pixels)).
    Item k is the same in every process (see streams.py). Pipelines take and give mmseg's results dict.
    """

    def __init__(
        self,
        source: Shards,
        target: Shards | None,
        draws: int,
        seed: int,
        source_pipeline: Pipeline,
        target_pipeline: Pipeline,
        rare: RareClasses | None = None,
        crop_pixels: float = 0,
    ) -> None:
        self.sides = {"source": (source, source_pipeline)}
        if target is not None:
            self.sides["target"] = (target, target_pipeline)
        self.draws, self.seed = draws, seed
        self.rare, self.crop_pixels = rare, crop_pixels

    def __len__(self) -> int:
        return self.draws

    def __getitem__(self, draw: int) -> dict[str, dict[str, Any]]:
        loaded = {side: self._load(side, draw) for side in self.sides}
        return {
            "inputs": {side: image for side, (image, _) in loaded.items()},
            "data_samples": {side: sample for side, (_, sample) in loaded.items()},
        }

    def _load(self, side: str, draw: int) -> tuple[torch.Tensor, SegDataSample]:
        shards, pipeline = self.sides[side]
        results: Results = {"seed": self.seed, "draw": draw, "side": side}
        if side == "source" and self.rare is not None:
            image, class_id = self.rare.draw(draw_stream(self.seed, draw, "rare class"))
            results["wanted"] = (class_id, self.crop_pixels)
        else:
            turn, place = divmod(draw, len(shards))
            image = draw_stream(self.seed, turn, f"{side} order").permutation(len(shards))[place]
        results["uid"] = uid = shards.rows[image]["uid"]
        files = shards.read(uid)
        results["img"] = png_array(files["image.png"])
        if side == "source":
            results["gt_seg_map"] = read_label(files, results["img"], f"{shards.folder}: sample {uid}")
        for transform in pipeline:
            results = transform(results)
        return pack(results)


def read_label(files: dict[str, bytes], image: NDArray[np.uint8], where: str) -> NDArray[np.uint8]:
    """The label of a sample, (H, W) train ids, 255 = ignored. GraftError if it is missing, of another size than the
    image, or holds an id that is no class."""
    if "label.png" not in files:
        raise GraftError(f"{where} has no label.png; label it, or take it out")
    label = png_array(files["label.png"])
    if label.shape != image.shape[:2]:
        raise GraftError(f"{where}: the label is {label.shape}, the image {image.shape[:2]}; make them equal in size")
    known = label[label != IGNORE]
    if known.size and known.max() >= len(LABELS.names):
        raise GraftError(
            f"{where}: the label holds the id {known.max()}, the classes are 0 to {len(LABELS.names) - 1} "
            f"and {IGNORE}; correct its label.png, or the id map it was read by"
        )
    return label


def pack(results: Results) -> tuple[torch.Tensor, SegDataSample]:
    """mmseg's input (3, H, W) uint8, and its data sample: with gt_sem_seg if and only if there is a label."""
    size = results["img"].shape[:2]
    about = {name: results[name] for name in ABOUT if name in results}
    sample = SegDataSample(metainfo=about | {"ori_shape": size, "img_shape": size})
    if "gt_seg_map" in results:
        label = torch.from_numpy(results["gt_seg_map"].astype(np.int64))
        sample.gt_sem_seg = PixelData(data=label[None])
    return torch.from_numpy(np.ascontiguousarray(results["img"].transpose(2, 0, 1))), sample
