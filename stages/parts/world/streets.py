"""Street scenes in two styles: a clean, game-like source without truck, bus and train, and a camera-like target.

`street(index, seed, domain)` is a pure function. The gap between the domains is in the palette, in the statistics of
the shapes (how tall the houses, how many trees and people), and in what the camera adds to the target.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from stages.parts.datasets.labels import CITYSCAPES
from stages.parts.world.canvas import Canvas, photograph
from stages.parts.world.objects import SUBTYPES, draw
from stages.parts.world.pen import CAMERA, GAME, Colour, Look, Rng, hsv, scaled

ID = {name: CITYSCAPES.id(name) for name in CITYSCAPES.names}
EYE = 4.0  # metres from the road to the camera: a foot on row y is drawn at (y - horizon) / EYE pixels per metre.
# As from a lorry's roof: hardly a vehicle is wider than the picture, or more than twice as large as a drawing of it.


@dataclass(frozen=True)
class Style:
    """The statistics of one domain. Ranges are (low, high); colours are hue, saturation, value ranges."""

    look: Look
    storeys: tuple[int, int]
    wall: tuple[tuple[float, float], tuple[float, float], tuple[float, float]]
    trees: tuple[int, int]
    leaf: tuple[float, float, float]
    grass: tuple[float, float, float]
    asphalt: tuple[float, float, float]
    paving: tuple[float, float, float]
    sky: tuple[float, float, float]
    spread: float  # standard deviation of the colours above, within a domain
    people: tuple[int, int]
    traffic: dict[str, float]  # chance of a road user to be of a class
    camera: float  # strength of what the camera adds


STYLES = {
    "source": Style(
        GAME, (3, 7), ((0.00, 1.00), (0.15, 0.45), (0.45, 0.80)), (0, 4), (0.33, 0.75, 0.50), (0.30, 0.70, 0.65),
        (0.66, 0.10, 0.35), (0.75, 0.08, 0.62), (0.57, 0.50, 0.95), 0.07, (1, 5), {"car": 1.0}, 0.0,
    ),
    "target": Style(
        CAMERA, (2, 5), ((0.02, 0.14), (0.08, 0.40), (0.30, 0.70)), (1, 7), (0.26, 0.40, 0.33), (0.20, 0.35, 0.48),
        (0.10, 0.05, 0.42), (0.09, 0.10, 0.55), (0.58, 0.30, 0.92), 0.04, (1, 6),
        {"car": 0.46, "truck": 0.18, "bus": 0.18, "train": 0.18}, 0.5,
    ),
}  # fmt: skip

Domain = Literal["source", "target"]


def street(
    index: int, seed: int, domain: Domain, height: int, width: int
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Scene `index`: (image (H, W, 3) uint8 RGB, label (H, W) uint8 Cityscapes train ids, every pixel labelled)."""
    rng = np.random.default_rng((seed, index, 0 if domain == "source" else 1))
    style, canvas = STYLES[domain], Canvas(height, width)
    horizon = height * float(rng.uniform(0.34, 0.46))
    canvas.gradient(0, height, scaled(_tone(rng, style, style.sky), 0.9), _tone(rng, style, style.sky), ID["sky"])
    _houses(canvas, rng, style, horizon)
    kerbs = _ground(canvas, rng, style, horizon)
    _trees(canvas, rng, style, horizon)
    _poles(canvas, rng, style, horizon, kerbs[0])
    _traffic(canvas, rng, style, horizon, kerbs)
    image, label = canvas.arrays()
    return photograph(image, rng, style.camera), label


def _tone(rng: Rng, style: Style, centre: tuple[float, float, float]) -> Colour:
    h, s, v = (c + float(rng.normal(0, style.spread)) for c in centre)
    return hsv(h, s, v)


def _houses(canvas: Canvas, rng: Rng, style: Style, horizon: float) -> None:
    storey = canvas.height / 14
    x = -float(rng.uniform(0, canvas.width / 8))
    while x < canvas.width:
        wide = float(rng.uniform(0.10, 0.24)) * canvas.width
        if rng.random() < 0.82:
            top = horizon + 2 - storey * int(rng.integers(*style.storeys, endpoint=True))
            wall = hsv(*(float(rng.uniform(*r)) for r in style.wall))
            canvas.rect(x, top, x + wide, horizon + 3, wall, ID["building"])
            pane = scaled(wall, float(rng.choice([0.55, 0.7, 1.3])))
            for y in np.arange(top + storey * 0.3, horizon - storey * 0.5, storey):
                for c in np.arange(x + 2, x + wide - 3, storey * 1.1):
                    canvas.rect(c, y, c + storey * 0.6, y + storey * 0.55, pane, ID["building"])
        x += wide


def _ground(canvas: Canvas, rng: Rng, style: Style, horizon: float) -> tuple[float, float]:
    """Terrain or sidewalk under the houses, then the road, now and then a near kerb. Gives the road's rows."""
    height = canvas.height
    far = horizon + height * float(rng.uniform(0.07, 0.13))
    near = height * float(rng.uniform(0.88, 1.0)) if rng.random() < 0.5 else float(height)
    grass, paving = _tone(rng, style, style.grass), _tone(rng, style, style.paving)
    strips = [("terrain", grass), ("sidewalk", paving)]
    split = (horizon + 1 + far) / 2
    first, second = strips if rng.random() < 0.6 else strips[::-1]
    canvas.gradient(horizon + 1, split, scaled(first[1], 0.92), first[1], ID[first[0]])
    canvas.gradient(split, far, scaled(second[1], 0.95), second[1], ID[second[0]])
    asphalt = _tone(rng, style, style.asphalt)
    canvas.gradient(far, near, scaled(asphalt, 0.9), scaled(asphalt, 1.08), ID["road"])
    middle = (far + near) / 2
    for x in np.arange(-float(rng.uniform(0, 20)), canvas.width, 20.0):
        canvas.rect(x, middle, x + 10, middle + 1.2, scaled(asphalt, 1.9), ID["road"])
    last = strips[int(rng.integers(2))]
    canvas.gradient(near, height, last[1], scaled(last[1], 1.05), ID[last[0]])
    return far, near


def _trees(canvas: Canvas, rng: Rng, style: Style, horizon: float) -> None:
    for _ in range(int(rng.integers(*style.trees, endpoint=True))):
        x, r = float(rng.uniform(0, canvas.width)), canvas.height * float(rng.uniform(0.05, 0.12))
        foot, leaf = horizon + canvas.height * 0.05, _tone(rng, style, style.leaf)
        canvas.rect(x - 0.8, foot - 1.6 * r, x + 0.8, foot, (85, 65, 50), ID["vegetation"])
        for dx, dy, f in ((0, 0, 1.0), (-0.7, 0.4, 0.85), (0.7, 0.35, 1.12), (0, -0.6, 1.05)):
            canvas.disc(x + dx * r, foot - 2.1 * r + dy * r, r * 0.8, r * 0.75, scaled(leaf, f), ID["vegetation"])


def _poles(canvas: Canvas, rng: Rng, style: Style, horizon: float, kerb: float) -> None:
    for _ in range(int(rng.integers(1, 5))):
        x, wide = float(rng.uniform(2, canvas.width - 2)), float(rng.uniform(2.0, 3.2))
        top = horizon - canvas.height * float(rng.uniform(0.1, 0.3))
        canvas.rect(x, top, x + wide, kerb, scaled((120, 120, 125), float(rng.uniform(0.5, 1.2))), ID["pole"])


def _traffic(canvas: Canvas, rng: Rng, style: Style, horizon: float, road: tuple[float, float]) -> None:
    """Road users and people from far to near, so that nearer ones hide farther ones."""
    users: list[tuple[float, str]] = []
    for _ in range(int(rng.integers(1, 4))):
        kind = str(rng.choice(list(style.traffic), p=list(style.traffic.values())))
        users.append((float(rng.uniform(road[0] + 2, min(road[1], canvas.height * 0.92))), kind))
    for _ in range(int(rng.integers(*style.people, endpoint=True))):
        users.append((float(rng.uniform(road[0] - 2, canvas.height * 0.97)), "person"))
    for foot, kind in sorted(users):
        subtype = SUBTYPES[kind][int(rng.integers(len(SUBTYPES[kind])))]
        picture, metres = draw(kind, subtype, rng, style.look)
        tall = metres * (foot - horizon) / EYE
        canvas.stamp(picture, float(rng.uniform(0, canvas.width)), foot, tall, ID[kind])
