"""The picture book: captioned pictures of one object in one place, from which the small models learn.

`page(index, seed)` is a pure function of its arguments, so any worker may render any page.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stages.parts.world.canvas import Canvas, photograph
from stages.parts.world.objects import SUBTYPES, draw
from stages.parts.world.pen import PICTURE, Colour, Rng, hsv, scaled

SIDE = 64
BACKGROUND, OBJECT = 0, 1

PLACES = (
    "in the city centre",
    "in the countryside",
    "in the mountains",
    "in the desert",
    "in the snow",
    "at night",
    "by the river",
    "in the forest",
    "in an industrial area",
    "on a bridge",
)

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
    _backdrop(canvas, rng, place, horizon)
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


def _backdrop(canvas: Canvas, rng: Rng, place: str, horizon: float) -> None:
    """Sky, what stands on the horizon, and the ground of a place."""
    dim = 0.35 if place == "at night" else 1.0
    h = 0.58 + rng.normal(0, 0.02)
    sky = hsv(h, rng.uniform(0.15, 0.5), rng.uniform(0.75, 1.0) * dim)
    canvas.gradient(0, horizon, scaled(sky, 0.85), scaled(sky, 1.12), BACKGROUND)
    ground = _ground(rng, place)
    canvas.gradient(horizon, SIDE, scaled(ground, 0.9 * dim), scaled(ground, 1.1 * dim), BACKGROUND)
    skyline = {
        "in the city centre": _buildings,
        "at night": _buildings,
        "in an industrial area": _sheds,
        "in the mountains": _peaks,
        "in the forest": _trees,
        "in the countryside": _bushes,
        "in the desert": _dunes,
        "by the river": _water,
        "on a bridge": _railing,
        "in the snow": _peaks,
    }
    skyline[place](canvas, rng, horizon, dim)


def _ground(rng: Rng, place: str) -> Colour:
    """The colour of a place's ground."""
    hue, saturation, value = {
        "in the countryside": (0.28, 0.45, 0.55),
        "in the forest": (0.26, 0.4, 0.4),
        "in the desert": (0.11, 0.4, 0.8),
        "in the snow": (0.58, 0.05, 0.93),
        "in the mountains": (0.2, 0.25, 0.5),
    }.get(place, (0.6, 0.04, 0.45))
    return hsv(hue + rng.normal(0, 0.01), saturation, value + rng.normal(0, 0.04))


def _buildings(canvas: Canvas, rng: Rng, horizon: float, dim: float) -> None:
    x = -float(rng.uniform(0, 8))
    while x < SIDE:
        wide, top = float(rng.uniform(8, 20)), horizon - float(rng.uniform(8, 26))
        wall = hsv(rng.uniform(0.0, 0.12), rng.uniform(0.05, 0.35), rng.uniform(0.4, 0.75) * dim)
        canvas.rect(x, top, x + wide, horizon, wall, BACKGROUND)
        pane = (250, 225, 140) if dim < 1 else scaled(wall, 0.6)
        for y in np.arange(top + 2, horizon - 2, 4.0):
            for c in np.arange(x + 1.5, x + wide - 2, 4.0):
                if rng.random() < 0.75:
                    canvas.rect(c, y, c + 2, y + 2.2, pane, BACKGROUND)
        x += wide


def _sheds(canvas: Canvas, rng: Rng, horizon: float, dim: float) -> None:
    for x in (-4.0, 26.0, 50.0):
        wide, tall = float(rng.uniform(14, 24)), float(rng.uniform(6, 13))
        colour = hsv(rng.uniform(0.5, 0.7), 0.12, rng.uniform(0.45, 0.7))
        canvas.rect(x, horizon - tall, x + wide, horizon, colour, BACKGROUND)
        canvas.poly(
            [(x, horizon - tall), (x + wide / 2, horizon - tall - 4), (x + wide, horizon - tall)],
            scaled(colour, 0.75),
            BACKGROUND,
        )
    chimney = float(rng.uniform(8, 56))
    canvas.rect(chimney, horizon - 26, chimney + 3.5, horizon, hsv(0.02, 0.45, 0.5), BACKGROUND)


def _peaks(canvas: Canvas, rng: Rng, horizon: float, dim: float) -> None:
    for _ in range(4):
        x, wide, tall = float(rng.uniform(-5, SIDE)), float(rng.uniform(16, 34)), float(rng.uniform(10, 24))
        rock = hsv(0.6, 0.18, rng.uniform(0.45, 0.65))
        canvas.poly([(x - wide / 2, horizon), (x, horizon - tall), (x + wide / 2, horizon)], rock, BACKGROUND)
        cap = tall * 0.35
        canvas.poly(
            [(x - wide * 0.175, horizon - tall + cap), (x, horizon - tall), (x + wide * 0.175, horizon - tall + cap)],
            (240, 243, 248),
            BACKGROUND,
        )


def _trees(canvas: Canvas, rng: Rng, horizon: float, dim: float) -> None:
    for _ in range(12):
        x, r = float(rng.uniform(0, SIDE)), float(rng.uniform(4, 8))
        leaf = hsv(rng.uniform(0.25, 0.38), 0.5, rng.uniform(0.25, 0.5))
        canvas.rect(x - 0.8, horizon - 8, x + 0.8, horizon + 1, (80, 60, 45), BACKGROUND)
        canvas.disc(x, horizon - 6 - r, r, r * 1.4, leaf, BACKGROUND)


def _bushes(canvas: Canvas, rng: Rng, horizon: float, dim: float) -> None:
    for _ in range(6):
        x, r = float(rng.uniform(0, SIDE)), float(rng.uniform(3, 8))
        canvas.disc(x, horizon, r * 1.6, r * 0.7, hsv(rng.uniform(0.24, 0.34), 0.5, rng.uniform(0.35, 0.6)), BACKGROUND)


def _dunes(canvas: Canvas, rng: Rng, horizon: float, dim: float) -> None:
    for _ in range(3):
        x, wide = float(rng.uniform(0, SIDE)), float(rng.uniform(18, 34))
        canvas.disc(x, horizon + 1, wide, float(rng.uniform(3, 8)), hsv(0.1, 0.45, rng.uniform(0.65, 0.8)), BACKGROUND)


def _water(canvas: Canvas, rng: Rng, horizon: float, dim: float) -> None:
    _bushes(canvas, rng, horizon, dim)
    canvas.gradient(horizon + 1, horizon + 9, hsv(0.58, 0.5, 0.6), hsv(0.57, 0.45, 0.75), BACKGROUND)


def _railing(canvas: Canvas, rng: Rng, horizon: float, dim: float) -> None:
    steel = hsv(rng.random(), 0.35, rng.uniform(0.35, 0.6))
    top = horizon - float(rng.uniform(12, 20))
    canvas.rect(0, top, SIDE, top + 1.8, steel, BACKGROUND)
    for x in np.arange(float(rng.uniform(0, 12)), SIDE, 12.0):
        canvas.rect(x, top, x + 1.3, horizon, steel, BACKGROUND)
        canvas.poly([(x, top + 1), (x + 1, top + 1), (x + 12, horizon), (x + 11, horizon)], steel, BACKGROUND)
