"""A folder that Hugging Face's `datasets` loads as it lies: load_dataset("imagefolder", data_dir=FOLDER).

train/<uid>.png and train/masks/<uid>.png (0 / 255), train/metadata.jsonl with what is known of each, and the dataset
card README.md.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image

from stages.export.cutout import Cutout
from stages.parts.datasets.labels import LabelSpace

SIZES = (
    (1000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"), (10_000_000, "1M<n<10M"),
)  # fmt: skip
CARD = """---
license: other
task_categories:
- image-segmentation
tags:
- synthetic
size_categories:
- {size}
configs:
- config_name: default
  data_files:
  - split: train
    path: train/**
---

# Generated cutouts

{total} generated images of {classes}, each with a mask of its object (255 in the object, 0 outside).
The images were drawn by a diffusion model from the prompt in `prompt`; the masks were made without any label drawn by
hand, and cleaned. `train_id` is Cityscapes' for its 19 classes; from 19 on it is of a class added to them. The licence
is that of the diffusion model's outputs.
"""


def write(cutouts: Iterable[Cutout], folder: Path, labels: LabelSpace) -> None:
    """a folder for Hugging Face's datasets: images, masks, metadata.jsonl and a dataset card; no doubt."""
    masks = folder / "train/masks"
    masks.mkdir(parents=True)
    counts: Counter[str] = Counter()
    with open(folder / "train/metadata.jsonl", "w") as metadata:
        for cutout in cutouts:
            name = f"{cutout.uid}.png"
            Image.fromarray(cutout.image).save(folder / "train" / name)
            Image.fromarray(np.where(cutout.mask, np.uint8(255), np.uint8(0))).save(masks / name)
            row: dict[str, str | int] = {"uid": cutout.uid, "file_name": name, "mask_file_name": f"masks/{name}"}
            row |= {"class": cutout.class_name, "train_id": cutout.train_id, "prompt": cutout.prompt}
            metadata.write(json.dumps(row) + "\n")
            counts[cutout.class_name] += 1
    total = sum(counts.values())
    classes = ", ".join(f"{name} ({count})" for name, count in counts.items()) or "nothing"
    size = next((label for limit, label in SIZES if total < limit), "10M<n<100M")
    (folder / "README.md").write_text(CARD.format(size=size, total=total, classes=classes))
