"""Counting a 1024 x 2048 image of 19 classes: ours against mmseg's IoUMetric, the same maps on the same device.

    python -m tests.benchmarks.evaluating

The stage: all that evaluate does of each image, its confusion matrix and its boundaries, on the maps that it reads
(uint8). The metric: the confusion matrix, from the tensors that a network and a loader give (int64), which IoUMetric
gets too. Expected: IoUMetric takes at least 3 times as long as either.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import torch
from mmengine.structures import PixelData
from mmseg.evaluation import IoUMetric
from mmseg.structures import SegDataSample

from stages.parts.datasets.labels import CITYSCAPES
from stages.parts.measure.boundary import boundary_areas
from stages.parts.measure.confusion import confusion
from stages.parts.measure.metric import ClassIoU
from tests.benchmarks.interleaved import interleaved, show


def maps() -> dict:
    """A truth of blobs with 5 % of ignored pixels, and a prediction that is right in three of four blobs."""
    rng = np.random.default_rng(0)
    blobs = rng.integers(0, 19, (32, 64))
    guess = np.where(rng.random(blobs.shape) < 0.75, blobs, rng.integers(0, 19, blobs.shape))
    truth, guess = (np.kron(each, np.ones((32, 32), np.int64)) for each in (blobs, guess))
    truth[rng.random(truth.shape) < 0.05] = 255
    truth_map, guess_map = (PixelData(data=torch.from_numpy(each)[None]) for each in (truth, guess))
    return SegDataSample(gt_sem_seg=truth_map, pred_sem_seg=guess_map).to_dict()


def main() -> None:
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    sample = maps()
    ours, theirs = ClassIoU(), IoUMetric()
    for metric in (ours, theirs):
        metric.dataset_meta = {"classes": CITYSCAPES.names}
    truth, guess = (sample[name]["data"][0].to(torch.uint8) for name in ("gt_sem_seg", "pred_sem_seg"))

    def stage() -> None:
        confusion(truth, guess, 19)
        boundary_areas(truth.numpy(), guess.numpy(), 19)

    ways: dict[str, Callable[[], object]] = {
        "the stage": stage,
        "the metric": lambda: ours.process({}, [sample]),
        "IoUMetric": lambda: theirs.process({}, [sample]),
    }
    show(interleaved(ways, 20), "the stage")


if __name__ == "__main__":
    main()
