"""A painted picture with its label, super-sampled, and the camera that spoils it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from stages.parts.datasets.labels import IGNORE
from stages.parts.world.pen import Colour, Rng

SS = 3  # super-sampling: everything is painted 3 x as large and averaged down, the label sampled at pixel centres

FloatImage = NDArray[np.float32]


class Canvas:
    """Image and label painted by the same strokes. Coordinates: output pixels, (x = column, y = row), y downwards."""

    def __init__(self, height: int, width: int) -> None:
        self.height, self.width = height, width
        self.image = Image.new("RGB", (width * SS, height * SS))
        self.label = Image.new("L", (width * SS, height * SS), IGNORE)
        self._ink, self._tag = ImageDraw.Draw(self.image), ImageDraw.Draw(self.label)

    def poly(self, points: list[tuple[float, float]], colour: Colour, label: int) -> None:
        scaled = [(x * SS, y * SS) for x, y in points]
        self._ink.polygon(scaled, fill=colour)
        self._tag.polygon(scaled, fill=label)

    def rect(self, x0: float, y0: float, x1: float, y1: float, colour: Colour, label: int) -> None:
        if x1 > x0 and y1 > y0:
            self.poly([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], colour, label)

    def disc(self, x: float, y: float, rx: float, ry: float, colour: Colour, label: int) -> None:
        corners = ((x - rx) * SS, (y - ry) * SS, (x + rx) * SS, (y + ry) * SS)
        self._ink.ellipse(corners, fill=colour)
        self._tag.ellipse(corners, fill=label)

    def gradient(self, y0: float, y1: float, top: Colour, bottom: Colour, label: int) -> None:
        """A full-width band that fades from `top` to `bottom`."""
        first, last = max(0, round(y0 * SS)), min(self.height * SS, round(y1 * SS))
        if last <= first:
            return
        t = np.linspace(0, 1, last - first)[:, None]
        rows = (np.array(top) * (1 - t) + np.array(bottom) * t).astype(np.uint8)
        band = np.repeat(rows[:, None, :], self.width * SS, axis=1)
        self.image.paste(Image.fromarray(band), (0, first))
        self.label.paste(label, (0, first, self.width * SS, last))

    def stamp(self, picture: Image.Image, x: float, foot: float, height: float, label: int) -> None:
        """Paint an RGBA object `height` pixels tall, centred on column x, its lower edge on row `foot`."""
        tall = max(2, round(height * SS))
        wide = max(2, round(tall * picture.width / picture.height))
        small = picture.resize((wide, tall), Image.Resampling.BOX)
        left, top = round(x * SS - wide / 2), round(foot * SS - tall)
        self.image.paste(small, (left, top), small)
        solid = small.getchannel("A").point(lambda a: 255 if a > 127 else 0)
        self.label.paste(label, (left, top), solid)

    def arrays(self) -> tuple[FloatImage, NDArray[np.uint8]]:
        """(image (H, W, 3) float32 0..255, label (H, W) uint8)."""
        image = self.image.reduce(SS)
        label = np.asarray(self.label)[SS // 2 :: SS, SS // 2 :: SS]
        return np.asarray(image, dtype=np.float32), label.copy()


def smooth_noise(rng: Rng, height: int, width: int, cells: int) -> FloatImage:
    """(H, W, 1) float32 noise of unit scale whose blobs are about height / cells pixels wide."""
    coarse = rng.normal(0, 1, (cells, max(2, cells * width // height))).astype(np.float32)
    fine = Image.fromarray(coarse, "F").resize((width, height), Image.Resampling.BICUBIC)
    return np.asarray(fine, dtype=np.float32)[..., None]


def photograph(image: FloatImage, rng: Rng, strength: float) -> NDArray[np.uint8]:
    """What a camera does to a painted picture: texture, uneven light, exposure, tint, blur, noise. Strength 0..1.

    (H, W, 3) float32 0..255 -> uint8. At strength 0 the picture is only rounded.
    """
    h, w, _ = image.shape
    image = image * (1 + strength * 0.06 * smooth_noise(rng, h, w, 32) + strength * 0.10 * smooth_noise(rng, h, w, 5))
    tint = 1 + strength * rng.normal(0, 0.07, 3).astype(np.float32)
    exposure = np.exp(strength * rng.normal(0, 0.18))
    image = 255 * np.clip(image * tint * exposure / 255, 0, 1) ** np.exp(strength * rng.normal(0, 0.15))
    blurred = Image.fromarray(image.astype(np.uint8)).filter(ImageFilter.GaussianBlur(strength * rng.uniform(0.2, 0.8)))
    noisy = np.asarray(blurred, dtype=np.float32) + rng.normal(0, strength * rng.uniform(3, 9), (h, w, 3))
    return np.clip(np.rint(noisy), 0, 255).astype(np.uint8)
