"""From the values of params.yaml to the objects that they describe, and what must fit together before any work."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
from mmcv.transforms import BaseTransform
from tqdm import tqdm

from stages.parts.datasets.labels import LABELS
from stages.parts.errors import GraftError
from stages.parts.learning.branches import Branch, BranchedDataset, read_label
from stages.parts.learning.rare_classes import RareClasses, class_pixels, count
from stages.parts.learning.transforms import Crop, Flip, ResizeTo
from stages.parts.pasting.composite import Edge
from stages.parts.pasting.paste import PasteCutouts
from stages.parts.pasting.place import Scale
from stages.parts.store.samples import Shards, png_array
from stages.train.methods import METHODS, check_encoder
from stages.train.params import Paste, Size, Train

FLIP = 0.5
UPSCALED = 4  # times that an image may be enlarged: beyond, a published full size was set for small scenes
LOOKED_AT = 500  # images that tell what pasting adds to the class statistics

Bank = Mapping[int, Sequence[np.ndarray]]


def check(train: Train, source: Shards, target: Shards | None) -> None:
    """GraftError for an empty set, for images that cannot make a batch, and for a method that lacks what it needs."""
    sets = [(source, train.source_size), *([(target, train.target_size)] if target is not None else [])]
    if train.method == "supervised":
        sets = [(source, train.target_size)]
    for shards, size in sets:
        if not shards.rows:
            split = "source" if shards.folder.name == "source" else "target"
            raise GraftError(f"{shards.folder} holds no image; run the stage scenes with scenes.{split} >= 1")
        if size and any(size[0] > UPSCALED * row["height"] or size[1] > UPSCALED * row["width"] for row in shards.rows):
            raise GraftError(
                f"params.yaml: train.source_size or target_size {size} is more than {UPSCALED} times as large as "
                f"images of {shards.folder}; set scenes.height and width to null, or the size to what there is"
            )
    first = source.read(source.rows[0]["uid"])
    read_label(first, png_array(first["image.png"]), LABELS, f"{source.folder}: sample {source.rows[0]['uid']}")
    sizes = {_final_size(row, size, train.crop) for shards, size in sets for row in shards.rows}
    if len(sizes) > 1:
        raise GraftError(
            f"{source.folder.parent} has images of {len(sizes)} sizes; make all source and target images equal in "
            f"size, or set train.source_size, train.target_size or train.crop"
        )
    method, (height, width) = METHODS[train.method], sizes.pop()
    if method.detail and (train.detail.size[0] > height or train.detail.size[1] > width):
        raise GraftError(
            f"params.yaml: train.detail.size {train.detail.size} is larger than the images of {height} x {width}"
        )
    check_encoder(train.method, train.encoder)
    top, bottom, left, right = train.margin
    if train.margin_of == "image" and target is not None:
        shapes = [train.target_size or (row["height"], row["width"]) for row in target.rows]
        height, width = min(shape[0] for shape in shapes), min(shape[1] for shape in shapes)
    if method.adapts and (top + bottom >= height or left + right >= width):
        raise GraftError(
            f"params.yaml: train.margin {train.margin} leaves no pixel of {height} x {width} to pseudo-labels; lower it"
        )


def _final_size(row: Mapping, size: Size | None, crop: Size | None) -> tuple[int, int]:
    height, width = size or (row["height"], row["width"])
    return (min(height, crop[0]), min(width, crop[1])) if crop else (height, width)


def pasting(paste: Paste, bank: Bank) -> PasteCutouts:
    limits = (paste.min_area, paste.max_area) if paste.scale == "area" else (paste.min_height, paste.max_height)
    return PasteCutouts(
        bank,
        probability=paste.probability,
        per=paste.per,
        max_instances=paste.max_instances,
        scale=Scale(paste.scale, *limits),
        place=paste.place,
        flip=paste.flip,
        colour=paste.colour,
        edge=Edge(paste.edge, paste.feather, paste.ring),
        protected=[LABELS.id(name) for name in paste.protected],
        min_visible=paste.min_visible,
        labels=LABELS,
    )


def dataset(train: Train, seed: int, source: Shards, target: Shards | None, bank: Bank) -> BranchedDataset:
    """A labelled source image with pasted cutouts and, where the method adapts, an unlabelled target image."""
    paste, rare = pasting(train.paste, bank), train.rare_classes
    sampler = None
    if METHODS[train.method].rare:
        added = pasting_adds(source, paste, seed) if bank else {}
        budget = rare.novel_budget if bank else None
        sampler = RareClasses(class_pixels(source), LABELS, rare.temperature, rare.min_pixels, added, set(bank), budget)
    size = train.target_size if train.method == "supervised" else train.source_size
    pixels = rare.min_pixels * rare.min_crop_ratio
    branches = {"source": Branch(source, [paste, *_views(size, train)], LABELS, sampler, pixels)}
    if target is not None:
        branches["target"] = Branch(target, _views(train.target_size, train))
    return BranchedDataset(branches, train.iterations * train.batch, seed)


def _views(size: Size | None, train: Train) -> list[BaseTransform]:
    resized = [ResizeTo(*size)] if size else []
    tries = train.rare_classes.tries
    cropped = [Crop(train.crop[0], train.crop[1], train.max_class_share, tries)] if train.crop else []
    return [*resized, *cropped, Flip(FLIP)]


def pasting_adds(source: Shards, paste: PasteCutouts, seed: int) -> dict[int, float]:
    """Pixels of each class that pasting adds to an image, or takes from it, in the mean over up to 500 images."""
    rows = source.rows[:: -(-len(source) // LOOKED_AT)]
    change: Counter[int] = Counter()
    for draw, row in enumerate(tqdm(rows, desc="class statistics", unit="image", delay=2, leave=False)):
        files = source.read(row["uid"])
        image = png_array(files["image.png"])
        label = read_label(files, image, LABELS, f"{source.folder}: sample {row['uid']}")
        pasted = paste.transform({"seed": seed, "draw": draw, "img": image, "gt_seg_map": label})["gt_seg_map"]
        change.update(count(pasted))
        change.subtract(count(label))
    return {c: n / len(rows) for c, n in change.items()}
