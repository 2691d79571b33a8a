"""The picture book: captioned pictures of one object, or of two or three, in a place. The small models learn from it.

`page(index, seed)` and `group_page(index, seed)` are pure functions of their arguments, so any worker may render any.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stages.parts.world.arrangement import Layout, arrange, subtypes_by_kind
from stages.parts.world.backdrops import PLACES, backdrop
from stages.parts.world.canvas import Canvas, FloatImage, photograph
from stages.parts.world.objects import SUBTYPES, draw
from stages.parts.world.pen import PICTURE, Rng

SIDE = 64
OBJECT = 1

GREYSCALE_SHARE = 0.06  # so that the negative prompt "grayscale" means something
STRENGTH = 0.35  # of what the camera does to a page
TRIPLES = 0.35  # share of the group pages with three objects; the others have two
GROUP = Layout(first=(0.5, 0.95), others=(0.35, 0.75), cut=0.1, visible=0.45, horizon=(24 / 64, 39 / 64))


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
    photo, style = _taken(image, rng)
    caption = f"a photo of a {subtype} {place}, {style}"
    return Page(photo, mask, kind, subtype, place, caption)


@dataclass(frozen=True)
class GroupPage:
    """image (64, 64, 3) uint8 RGB; instances (64, 64) uint8: k where the k-th named object is seen, 0 elsewhere; the
    classes and subtypes in the order of the caption, which names them all."""

    image: NDArray[np.uint8]
    instances: NDArray[np.uint8]
    kinds: tuple[str, ...]
    subtypes: tuple[str, ...]
    place: str
    caption: str


def group_page(index: int, seed: int) -> GroupPage:
    """Group page `index` of the edition `seed`: two or three objects, classes equally likely."""
    rng = np.random.default_rng((seed, index, 5))  # 0 to 4 are those of streets and photos
    named = subtypes_by_kind(rng, 3 if rng.random() < TRIPLES else 2)
    place = PLACES[rng.integers(len(PLACES))]
    image, things = arrange(rng, named, place, SIDE, PICTURE, GROUP)
    photo, style = _taken(image, rng)
    instances = np.zeros((SIDE, SIDE), np.uint8)
    for k, thing in enumerate(things):
        instances[thing.mask] = k + 1
    kinds, subtypes = (tuple(each) for each in zip(*named, strict=True))
    return GroupPage(photo, instances, kinds, subtypes, place, f"a photo of {enumerated(subtypes)} {place}, {style}")


def enumerated(names: Sequence[str]) -> str:
    """Each on its own, as prompts name them: "a box truck, a box truck and a sedan car"."""
    each = [f"a {name}" for name in names]
    return " and ".join([", ".join(each[:-1]), each[-1]]) if len(each) > 1 else each[0]


def _taken(image: FloatImage, rng: Rng) -> tuple[NDArray[np.uint8], str]:
    """The photograph of a painted page, now and then without colour, and the word for that."""
    photo = photograph(image, rng, STRENGTH)
    if rng.random() >= GREYSCALE_SHARE:
        return photo, "color"
    return np.repeat(np.rint(photo.mean(-1, keepdims=True)).astype(np.uint8), 3, axis=-1), "grayscale"
