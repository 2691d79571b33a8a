"""A dry run at full size: DAFormer with MiT-B5, 512 x 512 crops, 2 + 2 images, two iterations on the CPU.

    python -m tests.benchmarks.full_size [METHOD]

Prints the losses, the seconds and the process's peak memory so far. Of the published preset nothing is changed but the
encoder's weights, which are random here.
"""

from __future__ import annotations

import resource
import sys
import time
from typing import Any

import torch

from stages.parts.datasets.labels import CITYSCAPES, LABELS
from stages.parts.learning.hooks import ema_decay, ema_update
from stages.parts.learning.optimisation import adamw
from stages.parts.segmenter.networks import build_segmenter
from stages.train.methods import METHODS, Name
from stages.train.presets import DAFORMER
from stages.train.selftraining import SelfTraining
from tests.benchmarks.steps import SETTINGS, batch


def main(method: Name = "daformer") -> None:
    torch.manual_seed(0)
    settings: dict[str, Any] = DAFORMER
    side = settings["crop"][0]
    detail = (side // 2, side // 2) if METHODS[method].detail else None
    student = build_segmenter(settings["model"], len(CITYSCAPES.names), detail)
    published = {name: settings[name] for name in ("margin", "classes_of", "jitter")} | {"method": method}
    masking = SETTINGS.masking.model_copy(update={"block": 32})
    segmentor = SelfTraining(student, SETTINGS.model_copy(update=published | {"masking": masking}), LABELS).train()
    optimiser = adamw(student, settings["lr"], 0.01, student.backbone, settings["encoder_lr"], settings["no_decay"])
    data = batch(settings["batch"], side, side, METHODS[method].adapts)
    assert segmentor.teacher is not None
    for iteration in range(2):
        start = time.perf_counter()
        ema_update(segmentor.teacher.parameters(), student.parameters(), ema_decay(iteration, settings["ema"]))
        losses = segmentor.train_step(data, optimiser)
        told = ", ".join(f"{name} {value.item():.4f}" for name, value in losses.items())
        assert all(torch.isfinite(value) for value in losses.values())
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        print(f"iteration {iteration}: {told}; {time.perf_counter() - start:.0f} s, peak {peak:.2f} GiB", flush=True)


if __name__ == "__main__":
    chosen = sys.argv[1] if len(sys.argv) > 1 else "daformer"
    if chosen not in METHODS:
        sys.exit(f"{chosen} is none of {', '.join(METHODS)}")
    main(chosen)
