"""Pictures of one folder with the labels of another, read as one labelled set."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from stages.parts.errors import GraftError
from stages.parts.store.palette import palette_png_array
from stages.parts.store.photo_shards import READ, PhotoShards
from stages.parts.store.pictures import png_bytes
from stages.parts.store.shards import Shards

Label = NDArray[np.uint8]


class Joined(PhotoShards):
    """The samples of `pictures` that `masks` has a mask.png for: image.png, and as label.png the mask's ids.

    A mask's row names the hash of its picture (`drawing`): GraftError when the picture of today is another. labels, if
    given, takes the place of the masks: uid -> (H, W) uint8, such as a segmenter's own predictions."""

    def __init__(self, pictures: Path, masks: Path, labels: Callable[[str], Label] | None = None) -> None:
        super().__init__(pictures)
        self.masks, self.labels = Shards(masks), labels
        hashes = {row["uid"]: row["sha256"] for row in self.rows}
        for row in self.masks.rows:
            if hashes.get(row["uid"]) != row["drawing"]:
                raise GraftError(
                    f"{masks}: the mask of {row['uid']} is of another picture than that in {pictures}; run "
                    f"`python -m stages.dataset_diffusion.masks {masks.name}`"
                )
        masked = {row["uid"]: row for row in self.masks.rows}
        self.rows = [row | {"pixels": masked[row["uid"]]["pixels"]} for row in self.rows if row["uid"] in masked]

    def read(self, uid: str) -> dict[str, bytes]:
        return {READ: super().read(uid)[READ], "label.png": png_bytes(self.label(uid))}

    def label(self, uid: str) -> Label:
        """(H, W) uint8 ids of a sample, 255 = ignored."""
        if self.labels is not None:
            return self.labels(uid)
        return palette_png_array(self.masks.read(uid)["mask.png"])

    def verify(self) -> Self:
        """Read every sample once, and be there again: GraftError, before any work, when one is missing or damaged."""
        for row in self.rows:
            self.read(row["uid"])
        return self
