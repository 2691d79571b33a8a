"""Write the published settings, or ours, into the section `dataset_diffusion` of params.yaml.

    python -m stages.dataset_diffusion.preset published          # or ours, which are those of the repo

in      the two tables below
out     the parts captions, generate, masks, train, evaluate, powers and prompts of the section, comments kept;
        `git diff` shows every value. The model, the label space, the photos and what variants change stay as they are
cost    none
expect  published needs a GPU, Stable Diffusion 2.1 base as dataset_diffusion.model at a pinned revision, and VOC's
        captions and photos; where it is trained on COCO: captions.count 80 000, train.iterations 40 000
source  Nguyen et al., Dataset Diffusion (NeurIPS 2023) and its code. Left to you: train.encoder, the ImageNet weights
        of its ResNet, and train.ema, an average of the weights that an author says the paper's runs had
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from stages.parts.command import command
from stages.parts.preset import write_preset
from stages.preflight import Params

FLAWS = (
    "ugly, tiling, poorly drawn hands, poorly drawn feet, poorly drawn face, out of frame, extra limbs, disfigured, "
    "deformed, body out of frame, bad anatomy, watermark, signature, cut off, low contrast, underexposed, overexposed, "
    "bad art, beginner, amateur, distorted face"
)
PUBLISHED: dict[str, Any] = {
    "prompts": ["classes", "caption_classes"],
    "powers": [0, 1, 2, 4],
    "captions": {"count": 40_000},
    "generate": {
        "steps": 100, "guidance": 7.5, "negative": FLAWS, "height": 512, "width": 512, "batch": 4, "per_caption": 1,
        "self_halvings": 1, "cross_halvings": 2, "dtype": "float16",
    },
    "masks": {
        "prompt": "caption_classes", "power": 4, "threshold": 0.6, "uncertain": 0.5, "margin": 0.0,
        "crf": {"iterations": 0}, "snap": {"model": None}, "presence": {"model": None},
    },
    "train": {
        "model": "deeplabv3-r50", "encoder": None, "encoder_revision": None, "encoder_lr": 0.1, "iterations": 20_000,
        "batch": 8, "lr": 1e-4, "weight_decay": 1e-4, "no_decay": "layer_norm", "poly": 0.9, "clip": 0.01,
        "resize": [0.5, 2.0], "crop": [512, 512], "max_class_share": 0.75, "photometric": 0.5, "ema": None,
        "compose": {"probability": 0.0},
    },
    "evaluate": {"scales": [1.0], "flip": False},
}  # fmt: skip
OURS: dict[str, Any] = {
    "prompts": ["classes", "one_by_one"],
    "powers": [0, 1, 2, 4],
    "captions": {"count": 300},
    "generate": {
        "steps": 20, "guidance": 2.0, "negative": "grayscale", "height": 64, "width": 64, "batch": 16, "per_caption": 1,
        "self_halvings": 1, "cross_halvings": 2, "dtype": "float32",
    },
    "masks": {
        "prompt": "one_by_one", "power": 2, "threshold": 0.6, "uncertain": 0.5, "margin": 0.0,
        "crf": {"iterations": 0}, "snap": {"model": "models/miniature/sam_groups"},
        "presence": {"model": "models/miniature/clip"},
    },
    "train": {
        "model": "unet-3", "encoder": "models/miniature/encoder", "encoder_revision": None, "encoder_lr": 0.3,
        "iterations": 800, "batch": 16, "lr": 6e-3, "weight_decay": 0.01, "no_decay": "vectors", "poly": 0.9,
        "clip": 5.0, "resize": [0.75, 1.5], "crop": [64, 64], "max_class_share": 1.0, "photometric": 0.5, "ema": None,
        "compose": {"probability": 0.75},
    },
    "evaluate": {"scales": [1.0], "flip": False},
}  # fmt: skip
PRESETS = {"ours": OURS, "published": PUBLISHED}


@command
def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m stages.dataset_diffusion.preset",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("name", choices=sorted(PRESETS))
    name = parser.parse_args(argv).name
    write_preset({"dataset_diffusion": PRESETS[name]}, Params)
    print(f"params.yaml has the {name} settings of dataset_diffusion")


if __name__ == "__main__":
    main()
