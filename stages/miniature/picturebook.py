"""The picture book: captioned pictures of one object in one place, from which the small models learn.

`page(index, seed)` is a pure function of its arguments, so any worker may render any page.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stages.parts.world.backdrops import PLACES, backdrop
from stages.parts.world.canvas import Canvas, photograph
from stages.parts.world.objects import SUBTYPES, draw
from stages.parts.world.pen import PICTURE

SIDE = 64
OBJECT = 1

GREYSCALE_SHARE = 0.06  # so that the negative prompt "grayscale" means something


@dataclass(frozen=True)
class Page:
    """image (64, 64, 3) uint8 RGB; mask (64, 64) uint8 0/1 of the object; what the caption says of it."""

    image: NDArray[np.uint8]
    mask: NDArray[np.uint8]
    kind: str
    subtype: str
    place: str
    caption: str


def page(index: int, seed: int) -> Page:
    """Page `index` of the edition `seed`. Subtypes are equally likely: six of a vehicle, two of a person."""
    rng = np.random.default_rng((seed, index))
    pairs = [(kind, sub) for kind, subs in SUBTYPES.items() for sub in subs]
    kind, subtype = pairs[rng.integers(len(pairs))]
    place = PLACES[rng.integers(len(PLACES))]
    canvas, horizon = Canvas(SIDE, SIDE), float(rng.uniform(26, 40))
    backdrop(canvas, rng, place, horizon)
    picture, _ = draw(kind, subtype, rng, PICTURE)
    room = float(rng.uniform(0.62, 0.94)) * SIDE
    height = min(room * picture.height / picture.width, room * 0.85)
    foot = min(SIDE - 3.0, max(horizon + 4.0, SIDE / 2 + height / 2 + float(rng.normal(3, 3))))
    slack = max(0.0, (SIDE - height * picture.width / picture.height) / 2 - 2)
    canvas.stamp(picture, SIDE / 2 + float(rng.uniform(-slack, slack)) * 0.8, foot, height, OBJECT)
    image, mask = canvas.arrays()
    photo = photograph(image, rng, 0.35)
    grey = bool(rng.random() < GREYSCALE_SHARE)
    if grey:
        photo = np.repeat(np.rint(photo.mean(-1, keepdims=True)).astype(np.uint8), 3, axis=-1)
    caption = f"a photo of a {subtype} {place}, {'grayscale' if grey else 'color'}"
    return Page(photo, mask, kind, subtype, place, caption)
