"""COCO instances: images/<uid>.png and instances.json, one annotation per cutout, its mask run-length encoded.

Lin et al., "Microsoft COCO: Common Objects in Context", ECCV 2014; the encoding is pycocotools' compressed one.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from pycocotools import mask as rle

from stages.export.cutout import Cutout
from stages.parts.datasets.labels import LabelSpace


def write(cutouts: Iterable[Cutout], folder: Path, labels: LabelSpace) -> None:
    """COCO's instances.json with compressed RLE masks, and the images; category id = train id; no doubt."""
    (folder / "images").mkdir()
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for number, cutout in enumerate(cutouts, 1):
        name = f"{cutout.uid}.png"
        Image.fromarray(cutout.image).save(folder / "images" / name)
        height, width = cutout.mask.shape
        images.append({"id": number, "file_name": name, "height": height, "width": width, "caption": cutout.prompt})
        annotations.append(annotation(number, cutout))
    categories = [{"id": number, "name": name} for number, name in enumerate(labels.names)]
    content = {"images": images, "annotations": annotations, "categories": categories}
    (folder / "instances.json").write_text(json.dumps(content, indent=1) + "\n")


def annotation(number: int, cutout: Cutout) -> dict[str, Any]:
    """The instance of image `number`; bbox is left, top, width, height in pixels."""
    encoded = rle.encode(np.asfortranarray(cutout.mask.astype(np.uint8)))
    return {
        "id": number,
        "image_id": number,
        "category_id": cutout.train_id,
        "segmentation": {"size": list(encoded["size"]), "counts": encoded["counts"].decode("ascii")},
        "area": int(np.count_nonzero(cutout.mask)),
        "bbox": [float(side) for side in rle.toBbox(encoded)],
        "iscrowd": 0,
    }
