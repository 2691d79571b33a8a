"""Batches of several branches: each draw gives an image of each, such as a labelled source and an unlabelled target."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from mmengine.structures import PixelData
from mmseg.registry import DATASETS
from mmseg.structures import SegDataSample
from numpy.typing import NDArray
from torch.utils.data import Dataset

from stages.parts.datasets.labels import IGNORE, LabelSpace
from stages.parts.errors import GraftError
from stages.parts.learning.rare_classes import RareClasses
from stages.parts.store.samples import Shards, png_array
from stages.parts.store.streams import draw_stream

Results = dict[str, Any]
Pipeline = Sequence[Callable[[Results], Results]]

ABOUT = ("seed", "draw", "uid", "box", "whole_shape", "flip")  # what a data sample tells of where it comes from


@dataclass(frozen=True)
class Branch:
    """Where one image of each draw comes from.

    shards, pipeline   the images, and what is done with each, in mmseg's results dict
    labels             the label space of its labels; None: they are never opened
    rare               rare class sampling in the place of an order of its own, for one branch at most; the results then
                       tell the pipeline which class is wanted, in more than `rare_pixels` pixels: ("wanted":
                       (class, pixels))
    """

    shards: Shards
    pipeline: Pipeline
    labels: LabelSpace | None = None
    rare: RareClasses | None = None
    rare_pixels: float = 0


@DATASETS.register_module()
class BranchedDataset(Dataset):
    """Items by the number of their draw: {"inputs": {branch: image}, "data_samples": {branch: sample}}.

    Inputs are (3, H, W) uint8 RGB. The samples of a labelled branch carry gt_sem_seg (1, H, W) int64, others none. Each
    branch runs through its images in an order of its own, shuffled anew for each pass. Item k is the same in every
    process (see streams.py).
    """

    def __init__(self, branches: Mapping[str, Branch], draws: int, seed: int) -> None:
        self.branches, self.draws, self.seed = branches, draws, seed

    def __len__(self) -> int:
        return self.draws

    def __getitem__(self, draw: int) -> dict[str, dict[str, Any]]:
        loaded = {name: self._load(name, draw) for name in self.branches}
        return {
            "inputs": {name: image for name, (image, _) in loaded.items()},
            "data_samples": {name: sample for name, (_, sample) in loaded.items()},
        }

    def _load(self, name: str, draw: int) -> tuple[torch.Tensor, SegDataSample]:
        branch = self.branches[name]
        shards = branch.shards
        results: Results = {"seed": self.seed, "draw": draw, "side": name}
        if branch.rare is not None:
            image, class_id = branch.rare.draw(draw_stream(self.seed, draw, "rare class"))
            results["wanted"] = (class_id, branch.rare_pixels)
        else:
            turn, place = divmod(draw, len(shards))
            image = draw_stream(self.seed, turn, f"{name} order").permutation(len(shards))[place]
        results["uid"] = uid = shards.rows[image]["uid"]
        files = shards.read(uid)
        results["img"] = png_array(files["image.png"])
        if branch.labels is not None:
            where = f"{shards.folder}: sample {uid}"
            results["gt_seg_map"] = read_label(files, results["img"], branch.labels, where)
        for transform in branch.pipeline:
            results = transform(results)
        return pack(results)


def read_label(
    files: Mapping[str, bytes], image: NDArray[np.uint8], labels: LabelSpace, where: str
) -> NDArray[np.uint8]:
    """The label of a sample, (H, W) train ids, 255 = ignored. GraftError if it is missing, of another size than the
    image, or holds an id that is no class."""
    if "label.png" not in files:
        raise GraftError(f"{where} has no label.png; label it, or take it out")
    label = png_array(files["label.png"])
    if label.shape != image.shape[:2]:
        raise GraftError(f"{where}: the label is {label.shape}, the image {image.shape[:2]}; make them equal in size")
    known = label[label != IGNORE]
    if known.size and known.max() >= len(labels.names):
        raise GraftError(
            f"{where}: the label holds the id {known.max()}, the classes are 0 to {len(labels.names) - 1} "
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
