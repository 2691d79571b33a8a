"""Several things in one place, of many sizes, the nearer in front of the farther, some cut by the border."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from stages.parts.world.backdrops import BACKGROUND, backdrop
from stages.parts.world.canvas import Canvas, FloatImage
from stages.parts.world.objects import SUBTYPES, draw
from stages.parts.world.pen import Look, Rng

NARROWEST = 0.1  # of the picture's width: nothing that is seen is narrower
PAIRS = [(kind, subtype) for kind, subtypes in SUBTYPES.items() for subtype in subtypes]


@dataclass(frozen=True)
class Thing:
    """One object of a picture: `mask` (H, W) bool is what is seen of it, the part that others hide left out."""

    kind: str
    subtype: str
    mask: NDArray[np.bool_]


@dataclass(frozen=True)
class Layout:
    """Ranges are shares of the picture's side."""

    first: tuple[float, float]  # width of the first object
    others: tuple[float, float]  # width of each other object
    cut: float  # share of the objects that are centred on the left or right border
    visible: float  # of the part of an object that lies inside the picture, at least so much is seen
    horizon: tuple[float, float]  # row, from the top


def subtypes_by_kind(rng: Rng, count: int) -> list[tuple[str, str]]:
    """`count` (class, subtype): classes equally likely, then subtypes equally likely within their class."""
    kinds = [list(SUBTYPES)[k] for k in rng.integers(len(SUBTYPES), size=count)]
    return [(kind, SUBTYPES[kind][int(rng.integers(len(SUBTYPES[kind])))]) for kind in kinds]


def arrange(
    rng: Rng, named: Sequence[tuple[str, str]], place: str, side: int, look: Look, layout: Layout
) -> tuple[FloatImage, list[Thing]]:
    """The named (class, subtype) in a place: (image (side, side, 3) float32 0..255, as painted; the objects in the
    order in which they were named). They are placed anew until each is seen as much as the layout asks."""
    pictures = [draw(kind, subtype, rng, look)[0] for kind, subtype in named]
    while True:
        canvas = Canvas(side, side)
        horizon = side * float(rng.uniform(*layout.horizon))
        backdrop(canvas, rng, place, horizon)
        spots = [_spot(rng, picture, horizon, side, layout, first=k == 0) for k, picture in enumerate(pictures)]
        inside = [_stamped_alone(picture, spot, side) for picture, spot in zip(pictures, spots, strict=True)]
        for k in sorted(range(len(spots)), key=lambda k: spots[k][1]):  # a foot lower in the picture is nearer
            canvas.stamp(pictures[k], *spots[k], label=k + 1)
        image, label = canvas.arrays()
        seen = [label == k + 1 for k in range(len(named))]
        if all(_is_seen(mask, alone, layout) for mask, alone in zip(seen, inside, strict=True)):
            return image, [Thing(kind, sub, mask) for (kind, sub), mask in zip(named, seen, strict=True)]


def _spot(
    rng: Rng, picture: Image.Image, horizon: float, side: int, layout: Layout, first: bool
) -> tuple[float, float, float]:
    """Where an object stands and how tall it is: (column of its middle, row of its foot, height), output pixels."""
    unit = side / 64
    room = side * float(rng.uniform(*(layout.first if first else layout.others)))
    height = min(room * picture.height / picture.width, room * 0.85)
    width = height * picture.width / picture.height
    foot = min(side - 2 * unit, max(horizon + 4 * unit, side / 2 + height / 2 + unit * float(rng.normal(4, 4))))
    if rng.random() < layout.cut:
        column = side * float(rng.integers(2))
    else:
        slack = max(0.0, side - width) / 2
        column = side / 2 + float(rng.uniform(-slack, slack))
    return column, foot, height


def _stamped_alone(picture: Image.Image, spot: tuple[float, float, float], side: int) -> NDArray[np.bool_]:
    canvas = Canvas(side, side)
    canvas.label.paste(BACKGROUND, (0, 0, *canvas.label.size))
    canvas.stamp(picture, *spot, label=1)
    return canvas.arrays()[1] == 1


def _is_seen(mask: NDArray[np.bool_], alone: NDArray[np.bool_], layout: Layout) -> bool:
    columns = np.flatnonzero(mask.any(axis=0))
    wide = columns.size and columns[-1] + 1 - columns[0] >= NARROWEST * mask.shape[1]
    return bool(wide) and bool(mask.sum() >= layout.visible * alone.sum())
