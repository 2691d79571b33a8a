"""Where in a scene a cutout goes, and how large it is there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from stages.parts.datasets.labels import LabelSpace
from stages.parts.pasting.composite import object_box

By = Literal["height", "area", "native"]  # how large a cutout becomes: see Scale
Place = Literal["ground", "anywhere"]  # where it goes: on_ground, anywhere
Per = Literal["image", "class"]  # what chance and number are of: all cutouts of an image together, or each class

GROUND = ("road", "sidewalk", "terrain")  # what things stand on


def ground_table(labels: LabelSpace) -> NDArray[np.uint8]:
    """(256,) uint8: 1 for the train ids of what things stand on."""
    return np.isin(np.arange(256), [labels.id(name) for name in GROUND if name in labels.names]).astype(np.uint8)


class Box(NamedTuple):
    """Where a cutout's object goes (see composite.py): its upper left pixel, which may lie outside of the image, and
    its size. The margins of doubt around it lie beyond the box."""

    row: int
    col: int
    height: int
    width: int


@dataclass(frozen=True)
class Scale:
    """How large a cutout becomes.

    by        height: its height, as a share of the scene's; area: its opaque area, as a share of the scene's; native:
              as it is [UCG]
    smallest, largest   of height or area; log-uniform between the two
    """

    by: By
    smallest: float = 1.0
    largest: float = 1.0

    def size(self, scene: tuple[int, int], cutout: NDArray[np.uint8], nearness: float) -> tuple[int, int]:
        """(height, width) of the object in pixels, its shape kept; nearness in 0..1 is the quantile of the size."""
        height, width = (part.stop - part.start for part in object_box(cutout))
        if self.by == "native":
            return height, width
        if self.by == "height":
            tall = scene[0] * self.smallest * (self.largest / self.smallest) ** nearness
        else:
            share = self.smallest * (self.largest / self.smallest) ** nearness
            filled = max(1, np.count_nonzero(cutout[..., 3] >= 128))
            tall = height * (share * scene[0] * scene[1] / filled) ** 0.5
        rows = max(1, round(tall))
        return rows, max(1, round(rows * width / height))


def on_ground(
    label: NDArray[np.uint8],
    cutout: NDArray[np.uint8],
    rng: np.random.Generator,
    scale: Scale,
    is_ground: NDArray[np.uint8],
) -> Box | None:
    """A box for a cutout's object; the middle of its lower edge is on a ground pixel of the label (H, W):
    see ground_table.

    What is large is near, and what is near stands low in the image: the foot's rank among the ground pixels, from the
    top down, is the size's quantile, give or take a tenth. None where the label shows no ground.
    """
    ground = cv2.LUT(np.ascontiguousarray(label), is_ground)
    upto = np.cumsum(cv2.reduce(ground, 1, cv2.REDUCE_SUM, dtype=cv2.CV_32S))  # from far to near: this row and above
    if not upto[-1]:
        return None
    nearness = rng.random()
    height, width = scale.size(label.shape, cutout, nearness)
    foot = round(np.clip(nearness + rng.normal(0, 0.1), 0, 1) * (int(upto[-1]) - 1))
    row = int(np.searchsorted(upto, foot, side="right"))
    col = int(np.flatnonzero(ground[row])[foot - (upto[row - 1] if row else 0)])
    return Box(row + 1 - height, col - width // 2, height, width)


def anywhere(label: NDArray[np.uint8], cutout: NDArray[np.uint8], rng: np.random.Generator, scale: Scale) -> Box:
    """Uniform over all places wholly inside [UCG]. What is larger than the image is shrunk to it."""
    height, width = scale.size(label.shape, cutout, 0.0 if scale.by == "native" else rng.random())
    fit = min(1.0, label.shape[0] / height, label.shape[1] / width)
    height, width = max(1, int(height * fit)), max(1, int(width * fit))
    row = rng.integers(0, label.shape[0] - height, endpoint=True)
    return Box(int(row), int(rng.integers(0, label.shape[1] - width, endpoint=True)), height, width)
