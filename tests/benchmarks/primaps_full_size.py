"""What the line would cost at full size: ViT-B/8 of random weights, 320 x 320 pixels, batch 32.

command  python -m tests.benchmarks.primaps_full_size [--batch 32]
cost     ten minutes on one core, 8 GB
says     CPU seconds per picture of features, proposals (exact, 4 iterations) and CRF, the most memory, and from these a
         forecast of one core's hours for Cityscapes and COCO-Stuff. The features are of Voronoi regions: what the
         random ViT gives of them is noise, so proposals are timed on regions of its size and width instead
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from transformers import ViTConfig, ViTImageProcessor, ViTModel

from stages.parts.masks.proposal_labels import proposal_labels
from stages.parts.masks.proposals import propose
from stages.parts.pretrained.backbones import VisionTransformer
from stages.primaps.preset import PUBLISHED_CRF
from tests.benchmarks.primaps_speed import SETTINGS, regions

SIDE, PATCH = 320, 8
PICTURES = {"Cityscapes": 2975 + 500, "COCO-Stuff": 49629 + 2175}


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=32)
    batch = parser.parse_args(argv).batch
    torch.set_num_threads(1)
    cost: dict[str, float] = {}
    with TemporaryDirectory() as folder:
        ViTModel(ViTConfig(image_size=224, patch_size=PATCH), add_pooling_layer=False).save_pretrained(folder)
        ViTImageProcessor().save_pretrained(folder)
        backbone = VisionTransformer(Path(folder), 1)
    start = time.process_time()
    backbone(torch.rand(batch, 3, SIDE, SIDE))
    cost["features"] = (time.process_time() - start) / batch
    few = regions(8, 768, SIDE // PATCH)
    for pca in ("exact", 4):
        start = time.process_time()
        found = propose(few, pca=pca, **SETTINGS)
        cost[f"proposals, pca {pca}"] = (time.process_time() - start) / len(few)
    image = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3)).astype(np.uint8)
    start = time.process_time()
    for one in found:
        proposal_labels(image, one.maps, median=True, least=0, confidence=None, crf=PUBLISHED_CRF)  # type: ignore[arg-type]
    cost["CRF and labels"] = (time.process_time() - start) / len(found)
    for name, seconds in cost.items():
        print(f"{name:20} {seconds:7.2f} s a picture")
    print(f"most memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6:.1f} GB, batch {batch}")
    whole = cost["features"] + cost["proposals, pca 4"] + cost["CRF and labels"]
    for name, count in PICTURES.items():
        print(f"{name}: propose {count * whole / 3600:.1f} h of one core, {count} pictures")


if __name__ == "__main__":
    main()
