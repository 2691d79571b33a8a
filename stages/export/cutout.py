"""What every format is given: the kept cutouts, one at a time, in the order of their uids."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from stages.parts.datasets.labels import LabelSpace
from stages.parts.store.keys import slug


@dataclass(frozen=True)
class Cutout:
    """image: (H, W, 3) uint8 RGB, the full image; mask: (H, W) bool. `prompt` is "" where none is known. doubt: (H, W)
    bool, the ring in which nobody knows whether it is the object; all False where refine recorded none."""

    uid: str
    class_name: str
    train_id: int
    image: NDArray[np.uint8]
    mask: NDArray[np.bool_]
    prompt: str
    doubt: NDArray[np.bool_]

    @property
    def name(self) -> str:
        """The uid without its class, a number without its leading zeros: "train-000007" is "7"."""
        rest = self.uid.removeprefix(slug(self.class_name) + "-")
        return str(int(rest)) if rest.isdecimal() else rest


class Format(Protocol):
    """Write all cutouts below an empty folder; `labels` is the space of their train ids, for a format that lists all
    classes. The first line of the docstring is what --help says."""

    def __call__(self, cutouts: Iterable[Cutout], folder: Path, labels: LabelSpace) -> None: ...
