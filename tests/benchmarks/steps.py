"""One training step of each method against its floor: the forward and backward passes that it must do, alone.

    python -m tests.benchmarks.steps [NETWORK HEIGHT WIDTH BATCH]

A step: preprocessing, teacher, mixing, augmentation, all losses, backward, AdamW, the teacher's update. The floor has
the same networks' passes on ready tensors with a plain cross-entropy, and nothing else. Expected: at most 1.25 times
the floor.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample

from stages.parts.datasets.labels import LABELS
from stages.parts.learning.hooks import ema_update
from stages.parts.learning.optimisation import adamw
from stages.parts.sections import read
from stages.parts.segmenter.hrda import HRDA
from stages.parts.segmenter.networks import build_segmenter
from stages.train.methods import METHODS, Name
from stages.train.params import Params
from stages.train.selftraining import SelfTraining
from tests.benchmarks.interleaved import interleaved, show

SETTINGS = read(Params).train


def batch(size: int, height: int, width: int, target: bool) -> dict:
    """Noise with labels of blocks, as a loader gives it."""
    rng = np.random.default_rng(0)
    sides = ("source", "target") if target else ("source",)
    data: dict = {name: {side: [] for side in sides} for name in ("inputs", "data_samples")}
    for k in range(size):
        for side in sides:
            sample = SegDataSample(metainfo={"seed": 0, "draw": k, "img_shape": (height, width)})
            if side == "source":
                labels = np.kron(rng.integers(0, 19, (height // 16, width // 16)), np.ones((16, 16), np.int64))
                sample.gt_sem_seg = PixelData(data=torch.from_numpy(labels)[None])
            data["inputs"][side].append(torch.from_numpy(rng.integers(0, 255, (3, height, width), dtype=np.uint8)))
            data["data_samples"][side].append(sample)
    return data


def step(method: Name, network: str, size: int, height: int, width: int) -> Callable[[], object]:
    segmentor = made(method, network, height, width)
    optimiser = adamw(segmentor.student, 1e-4, 0.01)
    data = batch(size, height, width, METHODS[method].adapts)

    def run() -> None:
        if segmentor.teacher is not None:
            ema_update(segmentor.teacher.parameters(), segmentor.student.parameters(), 0.99)
        segmentor.train_step(data, optimiser)

    return run


def floor(method: Name, network: str, size: int, height: int, width: int) -> Callable[[], object]:
    segmentor = made(method, network, height, width)
    parts, student = METHODS[method], segmentor.student
    images = torch.rand(size, 3, height, width).contiguous(memory_format=torch.channels_last)
    label = torch.randint(0, 19, (size, height, width))

    def supervised() -> torch.Tensor:
        if isinstance(student, HRDA):
            views = student.look(images, [(0, 0)] * size)
            detail = label[:, : student.detail[0], : student.detail[1]]
            return entropy(views.fused, label) + entropy(views.detail, detail)
        return entropy(student.decode_head(student.extract_feat(images)), label)

    def run() -> None:
        with torch.no_grad():
            if isinstance(segmentor.teacher, HRDA):
                segmentor.teacher.fused(images)
            elif segmentor.teacher is not None:
                segmentor.teacher.decode_head(segmentor.teacher.extract_feat(images))
            for backbone in segmentor.reference:
                backbone(F.interpolate(images, scale_factor=0.5) if parts.detail else images)
        losses = [supervised() for _ in range(1 + parts.adapts + parts.masks)]
        sum(losses[1:], losses[0]).backward()
        student.zero_grad()

    return run


def made(method: Name, network: str, height: int, width: int) -> SelfTraining:
    torch.manual_seed(0)
    detail = (height // 2, width // 2) if METHODS[method].detail else None
    return SelfTraining(
        build_segmenter(network, 19, detail), SETTINGS.model_copy(update={"method": method}), LABELS
    ).train()


def entropy(logits: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
    return F.cross_entropy(F.interpolate(logits, label.shape[1:], mode="bilinear", align_corners=False), label)


def main(argv: list[str]) -> None:
    torch.set_num_threads(1)
    network, sides = (argv[0], argv[1:]) if argv else ("unet", ["64", "128", "8"])
    height, width, size = map(int, sides)
    methods: tuple[Name, ...] = ("source_only", "dacs", "daformer", "mic", "hrda", "mic_hrda")
    print(f"{network}, {size} + {size} images of {height} x {width}")
    for method in methods:
        ways = {f"{method}: the floor": floor(method, network, size, height, width)}
        ways[f"{method}: a step"] = step(method, network, size, height, width)
        show(interleaved(ways, 8), f"{method}: the floor")


if __name__ == "__main__":
    main(sys.argv[1:])
