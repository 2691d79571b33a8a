"""The small world's Pascal VOC: camera-like pictures of one to three objects of six classes in a place.

`photo(index, seed, split)` is a pure function. Half of the pictures show one object, three in ten two, the rest three;
kinds and subtypes are equally likely; a fifth of the objects is cut by the border; about 45 % of the pictures show
more than one class.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from stages.parts.datasets.label_spaces import SMALL_VOC
from stages.parts.datasets.labels import IGNORE
from stages.parts.errors import GraftError
from stages.parts.world.arrangement import Layout, Thing, arrange, subtypes_by_kind
from stages.parts.world.backdrops import BACKGROUND, PLACES
from stages.parts.world.canvas import photograph
from stages.parts.world.pen import CAMERA

Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = ("train", "val", "test")
COUNTS = (0.5, 0.3, 0.2)  # share of the pictures with one, two, three objects
LAYOUT = Layout(first=(0.55, 1.05), others=(0.35, 0.8), cut=0.2, visible=0.25, horizon=(22 / 64, 38 / 64))
STRENGTH = 0.5  # of what the camera does to the picture; that of the target's streets
SMALLEST = 32  # pixels: below it an object of a tenth of the width is no shape any more

SPOKEN = {
    "sedan car": "sedan", "hatchback car": "hatchback", "suv car": "suv", "van car": "van",
    "scooter motorcycle": "scooter",
}  # fmt: skip
PLURALS = {"bus": "buses", "person": "people"}
NUMBERS = {2: "two", 3: "three"}


@dataclass(frozen=True)
class Photo:
    """image (side, side, 3) uint8 RGB; label (side, side) uint8, ids of SMALL_VOC (0 = background, 1 to 6 the classes)
    and 255 = ignore on a border of one pixel around each object; a caption that names all; the objects, of which the
    first is the largest by intent."""

    image: NDArray[np.uint8]
    label: NDArray[np.uint8]
    caption: str
    place: str
    objects: tuple[Thing, ...]

    @property
    def classes(self) -> list[str]:
        """The classes that it shows, each once, in the order of the caption."""
        return list(dict.fromkeys(thing.kind for thing in self.objects))


def photo(index: int, seed: int, split: Split, side: int = 64) -> Photo:
    """Picture `index` of a split. GraftError for a split that there is not, and for a side below SMALLEST."""
    if split not in SPLITS:
        raise GraftError(f"the photos have no split {split!r}; take one of {', '.join(SPLITS)}")
    if side < SMALLEST:
        raise GraftError(f"a photo {side} pixels wide shows nothing; take a side of {SMALLEST} or more")
    rng = np.random.default_rng((seed, index, 2 + SPLITS.index(split)))  # 0 and 1 are the streets'
    count = int(rng.choice(len(COUNTS), p=COUNTS)) + 1
    named, place = subtypes_by_kind(rng, count), PLACES[int(rng.integers(len(PLACES)))]
    image, things = arrange(rng, named, place, side, CAMERA, LAYOUT)
    label = with_borders([(SMALL_VOC.id(thing.kind), thing.mask) for thing in things], side)
    caption = f"{listed([subtype for _, subtype in named])} {place}"
    return Photo(photograph(image, rng, STRENGTH), label, caption, place, tuple(things))


def with_borders(masks: list[tuple[int, NDArray[np.bool_]]], side: int) -> NDArray[np.uint8]:
    """(id, what is seen of the object) of each -> label (side, side) uint8 with IGNORE on the pixels that touch an
    object from outside: on the background, or on the object that it stands in front of or behind."""
    label = np.full((side, side), BACKGROUND, np.uint8)
    for number, mask in masks:
        label[mask] = number
    cross = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
    claimed = np.zeros((side, side), bool)
    for _, mask in masks:
        ring = cv2.dilate(mask.astype(np.uint8), cross).astype(bool) & ~mask
        label[ring & ~claimed] = IGNORE
        claimed |= mask | ring
    return label


def listed(subtypes: list[str]) -> str:
    """Objects as a caption names them: "a school bus, a sedan and two walking people"."""
    counts = Counter(subtypes)
    parts = [f"a {spoken(sub)}" if n == 1 else f"{NUMBERS[n]} {plural(spoken(sub))}" for sub, n in counts.items()]
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)


def spoken(subtype: str) -> str:
    """A subtype as people say it: "sedan" for the sedan car."""
    return SPOKEN.get(subtype, subtype)


def plural(name: str) -> str:
    first, _, last = name.rpartition(" ")
    return f"{first} {PLURALS.get(last, last + 's')}".strip()
