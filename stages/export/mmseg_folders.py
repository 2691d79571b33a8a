"""mmsegmentation's folders: img_dir/train/<uid>.png, ann_dir/train/<uid>.png of train ids, and meta.json.

What is not the object, or in doubt, is 255, ignored: nobody has said what it is. The palette has 256 entries; of a
shorter one some writers make 15 of 255.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from stages.export.cutout import Cutout
from stages.parts.datasets.labels import IGNORE, LabelSpace


def write(cutouts: Iterable[Cutout], folder: Path, labels: LabelSpace) -> None:
    """a BaseSegDataset of mmsegmentation: images, palette PNGs of train ids, 255 outside of the object and in doubt."""
    images, maps = folder / "img_dir/train", folder / "ann_dir/train"
    images.mkdir(parents=True)
    maps.mkdir(parents=True)
    for cutout in cutouts:
        Image.fromarray(cutout.image).save(images / f"{cutout.uid}.png")
        label = np.where(cutout.mask & ~cutout.doubt, np.uint8(cutout.train_id), np.uint8(IGNORE))
        palette_png(label, labels).save(maps / f"{cutout.uid}.png")
    meta = {"classes": labels.names, "palette": labels.palette.tolist(), "ignore_index": IGNORE}
    (folder / "meta.json").write_text(json.dumps(meta, indent=1) + "\n")


def palette_png(label: NDArray[np.uint8], labels: LabelSpace) -> Image.Image:
    """(H, W) uint8 train ids as a palette image of all 256 entries; ids without a colour are black."""
    colours = np.zeros((256, 3), np.uint8)
    colours[: len(labels.palette)] = labels.palette
    picture = Image.fromarray(label, "L").convert("P")
    picture.putdata(label.reshape(-1).tolist())
    picture.putpalette(colours.reshape(-1).tolist())
    return picture
