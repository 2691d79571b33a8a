"""A split of a dataset as pictures: of shards that a stage wrote, or of folders of the user's."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from stages.parts.datasets.coarse import coarse_idmap
from stages.parts.datasets.folders import pairs
from stages.parts.datasets.labels import LabelSpace
from stages.parts.datasets.photo_shards import PhotoShards
from stages.parts.datasets.reading import read_image, read_label
from stages.parts.errors import GraftError
from stages.parts.store.samples import png_array

Picture = NDArray[np.uint8]


@dataclass(frozen=True)
class Shown:
    """The size at which pictures are shown. shortest: of their sides, in pixels, None as they are; square: only the
    square in their middle, as published; multiple: of that only as much of the middle as is a multiple of so many
    pixels, 1 for all."""

    shortest: int | None
    square: bool
    multiple: int = 1

    def __call__(self, image: Picture, label: Picture | None) -> tuple[Picture, Picture | None]:
        """Picture (H, W, 3), bilinear with antialiasing, and label (H, W), nearest. GraftError for a picture that is
        smaller than the multiple."""
        height, width = image.shape[:2]
        if self.shortest and self.shortest != min(height, width):
            scale = self.shortest / min(height, width)
            height, width = round(height * scale), round(width * scale)
            image = np.array(Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR))
            if label is not None:
                label = np.array(Image.fromarray(label).resize((width, height), Image.Resampling.NEAREST))
        kept = [min(height, width)] * 2 if self.square else [height, width]
        rows, columns = (side - side % self.multiple for side in kept)
        if not (rows and columns):
            raise GraftError(f"a picture of {height} x {width} pixels is smaller than primaps.size.multiple")
        top, left = (height - rows) // 2, (width - columns) // 2
        image = image[top : top + rows, left : left + columns]
        return image, label if label is None else label[top : top + rows, left : left + columns]


@dataclass(frozen=True)
class Split:
    """hashes: uid -> hash of the sample's bytes, in order; read(uid): picture (H, W, 3) uint8 RGB and label (H, W)
    uint8, 255 = ignore, None of a split that is read without labels."""

    hashes: dict[str, str]
    read: Callable[[str], tuple[Picture, Picture | None]]

    def blocks(self, count: int) -> list[list[str]]:
        """The uids, `count` by `count`, the last block shorter."""
        uids = list(self.hashes)
        return [uids[k : k + count] for k in range(0, len(uids), count)]

    def first(self, count: int | None) -> Split:
        """The first `count` pictures, None for all."""
        return Split(dict(list(self.hashes.items())[:count]), self.read)

    def labelled(self, uids: Sequence[str]) -> tuple[list[Picture], Picture]:
        """Pictures of one size, and their labels (B, H, W) uint8. ValueError when the split is read without labels."""
        images, labels = zip(*(self.read(uid) for uid in uids), strict=True)
        return list(images), np.stack([_there(label) for label in labels])


def _there(label: Picture | None) -> Picture:
    if label is None:
        raise ValueError("the split was opened without labels")
    return label


def shards_split(folder: str | Path, labelled: bool, shown: Shown) -> Split:
    """A folder of shards with image.png or image.jpg and, if `labelled`, label.png; else no label is read. GraftError
    for a folder that is none or holds no sample, and on reading for a sample without a label."""
    shards = PhotoShards(folder)

    def read(uid: str) -> tuple[Picture, Picture | None]:
        files = shards.read(uid)
        if labelled and "label.png" not in files:
            raise GraftError(f"{folder}: sample {uid} has no label; name a labelled split")
        return shown(png_array(files["image.png"]), png_array(files["label.png"]) if labelled else None)

    return _filled(Split({row["uid"]: row["sha256"] for row in shards.rows}, read), folder)


def files_split(
    images: str, labels: str | None, ids: str | Mapping[int, str], space: LabelSpace, shown: Shown, where: str
) -> Split:
    """Folders of picture files and of label files, read by an id map of coarse.py; labels None for none. GraftError as
    of folders.pairs; `where` is the key of `ids` in params.yaml."""
    idmap = coarse_idmap(ids, space, where)
    found = {pair.slug: pair for pair in pairs(Path(images), Path(labels) if labels else None, idmap)}

    def read(uid: str) -> tuple[Picture, Picture | None]:
        image = read_image(found[uid].image, labels is not None)
        return shown(image, read_label(found[uid], idmap, image.shape[:2]) if labels else None)

    return _filled(Split({uid: pair.hash() for uid, pair in found.items()}, read), images)


def _filled(split: Split, folder: str | Path) -> Split:
    if not split.hashes:
        raise GraftError(f"{folder} holds no picture; correct the folder")
    return split


def shuffled(uids: Sequence[str], rng: np.random.Generator, count: int) -> Iterator[list[str]]:
    """The uids in another order, `count` by `count`. What is left over of an epoch is dropped, unless it is all."""
    order = [uids[k] for k in rng.permutation(len(uids))]
    for k in range(max(len(order) // count, 1)):
        yield order[k * count : (k + 1) * count]
