"""Pictures of one folder with the labels of another, read as one labelled set."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from stages.parts.datasets.palette import palette_png_array
from stages.parts.datasets.photo_shards import READ, PhotoShards
from stages.parts.errors import GraftError
from stages.parts.store.pictures import png_bytes
from stages.parts.store.shards import Row, Shards

Label = NDArray[np.uint8]


class Joined(Shards):
    """The samples of `pictures` that `masks` has a mask.png for: image.png, and as label.png the mask's ids. A row is
    the picture's, with the mask's count of pixels by class.

    A mask's row names the hash of its picture (`drawing`): GraftError when the picture of today is another. labels, if
    given, takes the place of the masks: uid -> (H, W) uint8, such as a segmenter's own predictions."""

    def __init__(self, pictures: Path, masks: Path, labels: Callable[[str], Label] | None = None) -> None:
        self.folder, self.pictures, self.masks, self.labels = masks, PhotoShards(pictures), Shards(masks), labels
        rows = {row["uid"]: row for row in self.pictures.rows}
        for row in self.masks.rows:
            if rows.get(row["uid"], {}).get("sha256") != row["drawing"]:
                raise GraftError(
                    f"{masks}: the mask of {row['uid']} is of another picture than that in {pictures}; run "
                    f"`python -m stages.dataset_diffusion.masks {masks.name}`"
                )
        self.rows = [rows[row["uid"]] | {"pixels": row["pixels"]} for row in self.masks.rows]

    def __iter__(self) -> Iterator[tuple[Row, dict[str, bytes]]]:
        return ((row, self.read(row["uid"])) for row in self.rows)

    def verify(self) -> Self:
        """Read every sample once, and be there again: GraftError, before any work, when one is missing or damaged."""
        for row in self.rows:
            self.read(row["uid"])
        return self

    def read(self, uid: str) -> dict[str, bytes]:
        """image.png and label.png of one sample. GraftError for a uid that the set lacks."""
        return {READ: self.pictures.read(uid)[READ], "label.png": png_bytes(self.label(uid))}

    def label(self, uid: str) -> Label:
        """(H, W) uint8 ids of a sample, 255 = ignored."""
        if self.labels is not None:
            return self.labels(uid)
        return palette_png_array(self.masks.read(uid)["mask.png"])
