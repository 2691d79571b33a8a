"""Pairs of one labelled source image and one unlabelled target image."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from mmcv.transforms import BaseTransform
from mmengine.structures import PixelData
from mmseg.registry import DATASETS, TRANSFORMS
from mmseg.structures import SegDataSample
from numpy.typing import NDArray
from torch.utils.data import Dataset

from stages.samples import Shards, png_array
from stages.train.streams import stream

Results = dict[str, Any]
Pipeline = Sequence[Callable[[Results], Results]]


class Cutouts(Sequence[NDArray[np.uint8]]):
    """The cutouts of one class in a bank: (h, w, 4) uint8 each, read when asked for."""

    def __init__(self, bank: Shards, class_name: str) -> None:
        self.bank = bank
        self.uids = [row["uid"] for row in bank.rows if row["class"] == class_name]

    def __len__(self) -> int:
        return len(self.uids)

    def __getitem__(self, index):
        return png_array(self.bank.read(self.uids[index])["rgba.png"])


@DATASETS.register_module()
class SourceTarget(Dataset):
    """Training pairs by the number of their draw: {"inputs": {"source", "target"}, "data_samples": {...}}.

    Inputs are (3, H, W) uint8 RGB. The source sample carries gt_sem_seg (1, H, W) int64, the target sample
    none: the target's labels are never opened. Each side runs through its images in an order of its own,
    shuffled anew for each pass. Item k is the same in every process (see streams.py). Pipelines take and
    give mmseg's results dict.
    """

    def __init__(
        self,
        source: Shards,
        target: Shards,
        draws: int,
        seed: int,
        source_pipeline: Pipeline,
        target_pipeline: Pipeline,
    ) -> None:
        self.sides = {"source": (source, source_pipeline), "target": (target, target_pipeline)}
        self.draws, self.seed = draws, seed

    def __len__(self) -> int:
        return self.draws

    def __getitem__(self, draw: int) -> dict[str, dict[str, Any]]:
        source, target = self._load("source", draw), self._load("target", draw)
        return {
            "inputs": {"source": source[0], "target": target[0]},
            "data_samples": {"source": source[1], "target": target[1]},
        }

    def _load(self, side: str, draw: int) -> tuple[torch.Tensor, SegDataSample]:
        shards, pipeline = self.sides[side]
        turn, place = divmod(draw, len(shards))
        order = stream(self.seed, turn, f"{side} order").permutation(len(shards))
        uid = shards.rows[order[place]]["uid"]
        files = shards.read(uid)
        results: Results = {"seed": self.seed, "draw": draw, "side": side, "uid": uid}
        results["img"] = png_array(files["image.png"])
        if side == "source":
            results["gt_seg_map"] = png_array(files["label.png"])
        for transform in pipeline:
            results = transform(results)
        return pack(results)


@TRANSFORMS.register_module()
class Flip(BaseTransform):
    """Mirror image and label left to right with this probability, each side of a pair on its own."""

    def __init__(self, probability: float) -> None:
        self.probability = probability

    def transform(self, results: Results) -> Results:
        if stream(results["seed"], results["draw"], f"{results['side']} flip").random() < self.probability:
            for name in {"img", "gt_seg_map"} & set(results):
                results[name] = results[name][:, ::-1]
        return results


def pack(results: Results) -> tuple[torch.Tensor, SegDataSample]:
    """mmseg's input (3, H, W) uint8, and its data sample: with gt_sem_seg if and only if there is a label."""
    size = results["img"].shape[:2]
    about = {name: results[name] for name in ("seed", "draw", "uid")}
    sample = SegDataSample(metainfo=about | {"ori_shape": size, "img_shape": size})
    if "gt_seg_map" in results:
        label = torch.from_numpy(results["gt_seg_map"].astype(np.int64))
        sample.gt_sem_seg = PixelData(data=label[None])
    return torch.from_numpy(np.ascontiguousarray(results["img"].transpose(2, 0, 1))), sample
