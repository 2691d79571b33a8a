"""A dry run at full size: a SAM of ViT-H's shape with random weights cuts out one 512 x 512 image on the CPU.

command  python -m tests.benchmarks.full_size_sam transformers
         python -m tests.benchmarks.full_size_sam segment-anything
cost     minutes, 9 GB of memory; the weights (2.6 GB) go to data/.work and are deleted again
says     seconds to load, to encode and to answer one prompt, and the peak memory of the process
"""

from __future__ import annotations

import argparse
import shutil
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from segment_anything import build_sam_vit_h
from transformers import SamConfig, SamImageProcessor, SamModel, SamProcessor, SamVisionConfig

from stages.parts.masks.sam_prompts import prompt
from stages.refine.methods import open_sam

WORK = Path("data/.work/full_size_sam")
VIT_H = {
    "hidden_size": 1280, "num_hidden_layers": 32, "num_attention_heads": 16, "global_attn_indexes": [7, 15, 23, 31],
    "mlp_dim": 5120,
}  # fmt: skip


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("backend", choices=["transformers", "segment-anything"])
    backend = parser.parse_args(argv).backend
    work = WORK / backend
    work.mkdir(parents=True, exist_ok=True)
    try:
        path = saved(backend, work)
        image = np.random.default_rng(0).integers(0, 256, (512, 512, 3), dtype=np.uint8)
        seed = np.zeros((512, 512), bool)
        seed[200:400, 100:450] = True
        began = time.perf_counter()
        model = open_sam(path, "cpu")
        loaded = time.perf_counter()
        encoded = model.encode([image])
        seen = time.perf_counter()
        answer = model.ask(encoded[0], prompt(seed, "cross"))
        asked = time.perf_counter()
        print(f"{backend}: load {loaded - began:.1f} s, encode {seen - loaded:.1f} s, ask {asked - seen:.2f} s")
        print(f"masks {answer.masks.shape}, finite: {np.isfinite(answer.logits).all()}")
        print(f"peak memory of the process: {peak() / 2**20:.2f} GiB, the making of the weights included")
    finally:
        shutil.rmtree(work)


def peak() -> int:
    """KiB that this process held at most."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


def saved(backend: str, work: Path) -> Path:
    """Random weights on disk, as they would have been fetched."""
    torch.manual_seed(0)
    if backend == "segment-anything":
        torch.save(build_sam_vit_h().state_dict(), work / "sam_vit_h.pth")
        return work / "sam_vit_h.pth"
    SamModel(SamConfig(vision_config=SamVisionConfig(**VIT_H).to_dict())).save_pretrained(work)
    SamProcessor(SamImageProcessor()).save_pretrained(work)
    return work


if __name__ == "__main__":
    main()
