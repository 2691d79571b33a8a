"""Where in a scene a cutout goes, and how large it is there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from stages.parts.datasets.labels import LabelSpace

By = Literal["height", "area", "native"]  # how large a cutout becomes: see Scale
Place = Literal["ground", "anywhere"]  # where it goes: on_ground, anywhere
Per = Literal["image", "class"]  # what chance and number are of: all cutouts of an image together, or each class

GROUND = ("road", "sidewalk", "terrain")  # what things stand on


def ground_table(labels: LabelSpace) -> NDArray[np.uint8]:
    """(256,) uint8: 1 for the train ids of what things stand on."""
    return np.isin(np.arange(256), [labels.id(name) for name in GROUND if name in labels.names]).astype(np.uint8)


class Box(NamedTuple):
    """Where a cutout goes: its upper left pixel, which may lie outside of the image, and its size."""

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
        """(height, width) of the whole cutout in pixels, its shape kept; nearness in 0..1 is the quantile of the size.

        What gets that size is the object, the opaque pixels; a ring of doubt about it comes on top."""
        height, width = cutout.shape[:2]
        if self.by == "native":
            return height, width
        top, bottom, _, _ = object_box(cutout)
        if self.by == "height":
            tall = scene[0] * self.smallest * (self.largest / self.smallest) ** nearness
        else:
            share = self.smallest * (self.largest / self.smallest) ** nearness
            filled = max(1, np.count_nonzero(cutout[..., 3] >= 128))
            tall = (bottom - top) * (share * scene[0] * scene[1] / filled) ** 0.5
        scale = max(1, round(tall)) / (bottom - top)
        return max(1, round(scale * height)), max(1, round(scale * width))


def object_box(cutout: NDArray[np.uint8]) -> tuple[int, int, int, int]:
    """(top, bottom, left, right) of a cutout's opaque pixels, two of them exclusive; of one without any, its frame."""
    rows, cols = (np.flatnonzero((cutout[..., 3] >= 128).any(axis=axis)) for axis in (1, 0))
    if not rows.size:
        return 0, cutout.shape[0], 0, cutout.shape[1]
    return int(rows[0]), int(rows[-1]) + 1, int(cols[0]), int(cols[-1]) + 1


def on_ground(
    label: NDArray[np.uint8],
    cutout: NDArray[np.uint8],
    rng: np.random.Generator,
    scale: Scale,
    is_ground: NDArray[np.uint8],
) -> Box | None:
    """A box for a cutout; the middle of the object's lower edge is on a ground pixel of the label (H, W):
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
    _, bottom, left, right = object_box(cutout)
    foot_row = round(bottom * height / cutout.shape[0])  # of the object in its frame, enlarged or reduced
    return Box(row + 1 - foot_row, col - (left + right) * width // (2 * cutout.shape[1]), height, width)


def anywhere(label: NDArray[np.uint8], cutout: NDArray[np.uint8], rng: np.random.Generator, scale: Scale) -> Box:
    """Uniform over all places wholly inside [UCG]. What is larger than the image is shrunk to it."""
    height, width = scale.size(label.shape, cutout, 0.0 if scale.by == "native" else rng.random())
    fit = min(1.0, label.shape[0] / height, label.shape[1] / width)
    height, width = max(1, int(height * fit)), max(1, int(width * fit))
    row = rng.integers(0, label.shape[0] - height, endpoint=True)
    return Box(int(row), int(rng.integers(0, label.shape[1] - width, endpoint=True)), height, width)
