"""Where an object stands: ten places, each with a sky, what stands on the horizon, and a ground.

Everything is painted as label 0. Lengths are those of a picture 64 pixels wide, and grow with the canvas.
"""

from __future__ import annotations

import numpy as np

from stages.parts.world.canvas import Canvas
from stages.parts.world.pen import Colour, Rng, hsv, scaled

BACKGROUND = 0
SIDE = 64  # of the picture that the lengths below are meant for

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


def backdrop(canvas: Canvas, rng: Rng, place: str, horizon: float) -> None:
    """Fill a canvas with a place of PLACES, its horizon on that row (output pixels)."""
    dim = 0.35 if place == "at night" else 1.0
    h = 0.58 + rng.normal(0, 0.02)
    sky = hsv(h, rng.uniform(0.15, 0.5), rng.uniform(0.75, 1.0) * dim)
    canvas.gradient(0, horizon, scaled(sky, 0.85), scaled(sky, 1.12), BACKGROUND)
    ground = _ground(rng, place)
    canvas.gradient(horizon, canvas.height, scaled(ground, 0.9 * dim), scaled(ground, 1.1 * dim), BACKGROUND)
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
    skyline[place](canvas, rng, horizon, dim, canvas.width / SIDE)


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


def _buildings(canvas: Canvas, rng: Rng, horizon: float, dim: float, u: float) -> None:
    x = -u * float(rng.uniform(0, 8))
    while x < canvas.width:
        wide, top = u * float(rng.uniform(8, 20)), horizon - u * float(rng.uniform(8, 26))
        wall = hsv(rng.uniform(0.0, 0.12), rng.uniform(0.05, 0.35), rng.uniform(0.4, 0.75) * dim)
        canvas.rect(x, top, x + wide, horizon, wall, BACKGROUND)
        pane = (250, 225, 140) if dim < 1 else scaled(wall, 0.6)
        for y in np.arange(top + 2 * u, horizon - 2 * u, 4.0 * u):
            for c in np.arange(x + 1.5 * u, x + wide - 2 * u, 4.0 * u):
                if rng.random() < 0.75:
                    canvas.rect(c, y, c + 2 * u, y + 2.2 * u, pane, BACKGROUND)
        x += wide


def _sheds(canvas: Canvas, rng: Rng, horizon: float, dim: float, u: float) -> None:
    for x in (-4.0 * u, 26.0 * u, 50.0 * u):
        wide, tall = u * float(rng.uniform(14, 24)), u * float(rng.uniform(6, 13))
        colour = hsv(rng.uniform(0.5, 0.7), 0.12, rng.uniform(0.45, 0.7))
        canvas.rect(x, horizon - tall, x + wide, horizon, colour, BACKGROUND)
        canvas.poly(
            [(x, horizon - tall), (x + wide / 2, horizon - tall - 4 * u), (x + wide, horizon - tall)],
            scaled(colour, 0.75),
            BACKGROUND,
        )
    chimney = u * float(rng.uniform(8, 56))
    canvas.rect(chimney, horizon - 26 * u, chimney + 3.5 * u, horizon, hsv(0.02, 0.45, 0.5), BACKGROUND)


def _peaks(canvas: Canvas, rng: Rng, horizon: float, dim: float, u: float) -> None:
    for _ in range(4):
        x, wide = u * float(rng.uniform(-5, SIDE)), u * float(rng.uniform(16, 34))
        tall = u * float(rng.uniform(10, 24))
        rock = hsv(0.6, 0.18, rng.uniform(0.45, 0.65))
        canvas.poly([(x - wide / 2, horizon), (x, horizon - tall), (x + wide / 2, horizon)], rock, BACKGROUND)
        cap = tall * 0.35
        canvas.poly(
            [(x - wide * 0.175, horizon - tall + cap), (x, horizon - tall), (x + wide * 0.175, horizon - tall + cap)],
            (240, 243, 248),
            BACKGROUND,
        )


def _trees(canvas: Canvas, rng: Rng, horizon: float, dim: float, u: float) -> None:
    for _ in range(12):
        x, r = u * float(rng.uniform(0, SIDE)), u * float(rng.uniform(4, 8))
        leaf = hsv(rng.uniform(0.25, 0.38), 0.5, rng.uniform(0.25, 0.5))
        canvas.rect(x - 0.8 * u, horizon - 8 * u, x + 0.8 * u, horizon + u, (80, 60, 45), BACKGROUND)
        canvas.disc(x, horizon - 6 * u - r, r, r * 1.4, leaf, BACKGROUND)


def _bushes(canvas: Canvas, rng: Rng, horizon: float, dim: float, u: float) -> None:
    for _ in range(6):
        x, r = u * float(rng.uniform(0, SIDE)), u * float(rng.uniform(3, 8))
        canvas.disc(x, horizon, r * 1.6, r * 0.7, hsv(rng.uniform(0.24, 0.34), 0.5, rng.uniform(0.35, 0.6)), BACKGROUND)


def _dunes(canvas: Canvas, rng: Rng, horizon: float, dim: float, u: float) -> None:
    for _ in range(3):
        x, wide = u * float(rng.uniform(0, SIDE)), u * float(rng.uniform(18, 34))
        tall = u * float(rng.uniform(3, 8))
        canvas.disc(x, horizon + u, wide, tall, hsv(0.1, 0.45, rng.uniform(0.65, 0.8)), BACKGROUND)


def _water(canvas: Canvas, rng: Rng, horizon: float, dim: float, u: float) -> None:
    _bushes(canvas, rng, horizon, dim, u)
    canvas.gradient(horizon + u, horizon + 9 * u, hsv(0.58, 0.5, 0.6), hsv(0.57, 0.45, 0.75), BACKGROUND)


def _railing(canvas: Canvas, rng: Rng, horizon: float, dim: float, u: float) -> None:
    steel = hsv(rng.random(), 0.35, rng.uniform(0.35, 0.6))
    top = horizon - u * float(rng.uniform(12, 20))
    canvas.rect(0, top, canvas.width, top + 1.8 * u, steel, BACKGROUND)
    for x in np.arange(u * float(rng.uniform(0, 12)), canvas.width, 12.0 * u):
        canvas.rect(x, top, x + 1.3 * u, horizon, steel, BACKGROUND)
        brace = [(x, top + u), (x + u, top + u), (x + 12 * u, horizon), (x + 11 * u, horizon)]
        canvas.poly(brace, steel, BACKGROUND)
