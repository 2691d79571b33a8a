"""Drawing in metres: a pen on a transparent canvas, x to the right, y upwards from the ground."""

from __future__ import annotations

import colorsys
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

Colour = tuple[int, int, int]
Rng = np.random.Generator

PIXELS_PER_METRE = 26  # of the master drawing; a scene scales it down, so edges come out anti-aliased
MARGIN = 0.3  # metres around the object, for mirrors and wires


@dataclass(frozen=True)
class Look:
    """How one domain paints its objects: ranges of saturation and value, how often a body is grey, shading."""

    title: str
    saturation: tuple[float, float]
    value: tuple[float, float]
    grey: float  # share of white, grey and black bodies
    shade: float  # strength of the light-to-dark gradient from roof to sill
    glass: tuple[Colour, Colour]  # the two ends of the windows' colours
    stretch: float  # standard deviation of length and height around the type's own, relative


GAME = Look("game", (0.40, 0.95), (0.40, 0.95), 0.30, 0.0, ((40, 70, 110), (70, 110, 150)), 0.04)
CAMERA = Look("camera", (0.10, 0.70), (0.30, 0.85), 0.45, 0.35, ((15, 20, 25), (60, 70, 80)), 0.12)
PICTURE = Look("picture", (0.25, 0.85), (0.40, 0.95), 0.30, 0.25, ((25, 35, 50), (80, 105, 130)), 0.10)


def hsv(h: float, s: float, v: float) -> Colour:
    """Hue, saturation, value in 0..1 -> RGB in 0..255. The hue wraps."""
    r, g, b = colorsys.hsv_to_rgb(h % 1.0, min(max(s, 0.0), 1.0), min(max(v, 0.0), 1.0))
    return int(r * 255), int(g * 255), int(b * 255)


def scaled(colour: Colour, factor: float) -> Colour:
    """The colour made darker (< 1) or lighter (> 1), clipped to 0..255."""
    r, g, b = (int(min(255, c * factor)) for c in colour)
    return r, g, b


def body_colour(rng: Rng, look: Look, hue: float | None = None) -> Colour:
    """A lacquer of this look; `hue` pins what the type demands (a school bus is yellow)."""
    value = rng.uniform(*look.value)
    if hue is None and rng.random() < look.grey:
        return hsv(rng.random(), rng.uniform(0.0, 0.1), value)
    h = rng.random() if hue is None else hue + rng.normal(0, 0.012)
    s = rng.uniform(*look.saturation)
    return hsv(h, s if hue is None else max(s, 0.55), value if hue is None else max(value, 0.6))


def glass_colour(rng: Rng, look: Look) -> Colour:
    """A window colour between the look's two ends."""
    t = rng.random()
    a, b = look.glass
    return tuple(int(x + t * (y - x)) for x, y in zip(a, b, strict=True))  # type: ignore[return-value]


class Pen:
    """An RGBA canvas of `width` x `height` metres with the ground at its lower edge (less the margin)."""

    def __init__(self, width: float, height: float) -> None:
        self.size = (
            int((width + 2 * MARGIN) * PIXELS_PER_METRE),
            int((height + MARGIN) * PIXELS_PER_METRE),
        )
        self.image = Image.new("RGBA", self.size, (0, 0, 0, 0))
        self.draw = ImageDraw.Draw(self.image)

    def at(self, x: float, y: float) -> tuple[float, float]:
        """Metres -> pixels of this canvas."""
        return (x + MARGIN) * PIXELS_PER_METRE, self.size[1] - y * PIXELS_PER_METRE

    def poly(self, points: list[tuple[float, float]], colour: Colour) -> None:
        self.draw.polygon([self.at(*p) for p in points], fill=colour)

    def box(self, x0: float, y0: float, x1: float, y1: float, colour: Colour, radius: float = 0.0) -> None:
        """An upright rectangle from (x0, y0) lower left to (x1, y1) upper right, its corners rounded."""
        if x1 <= x0 or y1 <= y0:
            return
        (left, bottom), (right, top) = self.at(x0, y0), self.at(x1, y1)
        self.draw.rounded_rectangle((left, top, right, bottom), radius * PIXELS_PER_METRE, fill=colour)

    def disc(self, x: float, y: float, radius: float, colour: Colour) -> None:
        (left, bottom), (right, top) = self.at(x - radius, y - radius), self.at(x + radius, y + radius)
        self.draw.ellipse((left, top, right, bottom), fill=colour)

    def line(self, points: list[tuple[float, float]], width: float, colour: Colour) -> None:
        self.draw.line([self.at(*p) for p in points], fill=colour, width=max(1, int(width * PIXELS_PER_METRE)))

    def wheel(self, x: float, radius: float) -> None:
        self.disc(x, radius, radius, (25, 25, 28))
        self.disc(x, radius, radius * 0.5, (120, 120, 125))

    def windows(self, x0: float, x1: float, y0: float, y1: float, count: int, colour: Colour) -> None:
        """`count` panes side by side, with pillars between them."""
        step = (x1 - x0) / count
        for k in range(count):
            self.box(x0 + (k + 0.08) * step, y0, x0 + (k + 0.92) * step, y1, colour, 0.06)

    def shaded(self, strength: float) -> Image.Image:
        """The drawing under light from above, cropped to what was drawn. Alpha stays as it is."""
        rgba = np.asarray(self.image).astype(np.float32)
        rows = np.linspace(1 + strength, 1 - strength, rgba.shape[0], dtype=np.float32)[:, None, None]
        rgba[..., :3] = np.clip(rgba[..., :3] * rows, 0, 255)
        image = Image.fromarray(rgba.astype(np.uint8), "RGBA")
        return image.crop(image.getchannel("A").getbbox())
