"""Pasting cutouts into a labelled source image (UCG, section 3 of its code; its defects P1 to P10 mended)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

import cv2
import numpy as np
from mmcv.transforms import BaseTransform
from mmseg.registry import TRANSFORMS
from numpy.typing import NDArray

from stages.labels import CITYSCAPES, IGNORE
from stages.train.streams import stream

Pixels = NDArray[np.uint8]
GROUND = [CITYSCAPES.id(name) for name in ("road", "sidewalk", "terrain")]


class Box(NamedTuple):
    """Where a cutout goes: its upper left pixel, which may lie outside of the image, and its size."""

    row: int
    col: int
    height: int
    width: int


def paste(image: Pixels, label: Pixels, rgba: Pixels, class_id: int, row: int, col: int) -> tuple[Pixels, Pixels]:
    """Copies of image and label with the cutout's opaque pixels on top, its upper left pixel at (row, col).

    image (H, W, 3) RGB, label (H, W) train ids, rgba (h, w, 4); all uint8. Opaque is alpha >= 128: the edge
    is hard. What lies outside of the image is clipped, up to all of it. ValueError unless 0 <= class_id < 255.
    """
    if not 0 <= class_id < IGNORE:
        raise ValueError(f"class id {class_id} is not in 0..{IGNORE - 1}")
    image, label = image.copy(), label.copy()
    top, left = max(row, 0), max(col, 0)
    bottom, right = min(row + rgba.shape[0], label.shape[0]), min(col + rgba.shape[1], label.shape[1])
    if top < bottom and left < right:
        visible = rgba[top - row : bottom - row, left - col : right - col]
        opaque = visible[..., 3] >= 128
        image[top:bottom, left:right][opaque] = visible[opaque, :3]
        label[top:bottom, left:right][opaque] = class_id
    return image, label


def resize(rgba: Pixels, height: int, width: int) -> Pixels:
    """(h, w, 4) -> (height, width, 4), alpha 0 or 255. Colours are weighted by alpha: nothing bleeds in."""
    if rgba.shape[:2] == (height, width):
        return rgba
    alpha = rgba[..., 3:] / np.float32(255)
    weighted = np.concatenate([rgba[..., :3] * alpha, alpha], axis=2)
    shrinks = height < rgba.shape[0]
    weighted = cv2.resize(weighted, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    colour = weighted[..., :3] / np.maximum(weighted[..., 3:], 1e-6)
    opaque = 255 * (weighted[..., 3:] >= 0.5)
    return np.concatenate([colour.round().clip(0, 255), opaque], axis=2).astype(np.uint8)


def place_on_ground(
    label: Pixels, shape: tuple[int, int], rng: np.random.Generator, min_height: float, max_height: float
) -> Box | None:
    """A box for a cutout of this (h, w); the middle of its lower edge is on a ground pixel of the label.

    The height is log-uniform in [min_height, max_height] image heights. What is large is near, and what is
    near stands low in the image: the foot's rank among the ground pixels, from the top down, is the height's
    quantile, give or take a tenth. None where the label shows no ground.
    """
    rows, cols = np.nonzero(np.isin(label, GROUND))  # row by row: the order is already from far to near
    if not len(rows):
        return None
    nearness = rng.random()
    height = max(1, round(label.shape[0] * min_height * (max_height / min_height) ** nearness))
    width = max(1, round(height * shape[1] / shape[0]))
    foot = round(np.clip(nearness + rng.normal(0, 0.1), 0, 1) * (len(rows) - 1))
    return Box(int(rows[foot]) + 1 - height, int(cols[foot]) - width // 2, height, width)


def place_anywhere(label: Pixels, shape: tuple[int, int], rng: np.random.Generator) -> Box:
    """UCG: native size, uniform over all places wholly inside. What is larger than the image is shrunk."""
    scale = min(1.0, label.shape[0] / shape[0], label.shape[1] / shape[1])
    height, width = max(1, int(shape[0] * scale)), max(1, int(shape[1] * scale))
    row = rng.integers(0, label.shape[0] - height, endpoint=True)
    return Box(int(row), int(rng.integers(0, label.shape[1] - width, endpoint=True)), height, width)


@TRANSFORMS.register_module()
class PasteCutouts(BaseTransform):
    """Paste novel objects into a source image; goes into the source pipeline right after loading.

    bank: {train id: its cutouts, (h, w, 4) uint8 each}; an empty bank pastes nothing. With `probability`, 1
    to `max_instances` cutouts are pasted, far ones first. The class is drawn before the cutout: classes are
    balanced, however many cutouts each has. Needs "seed" and "draw" in the results, replaces "img" and
    "gt_seg_map".
    """

    def __init__(
        self,
        bank: Mapping[int, Sequence[Pixels]],
        probability: float,
        max_instances: int,
        min_height: float,
        max_height: float,
        place: Literal["ground", "ucg"],
        flip: float,
    ) -> None:
        self.bank = {class_id: cutouts for class_id, cutouts in sorted(bank.items()) if len(cutouts)}
        self.probability, self.max_instances = probability, max_instances
        self.heights, self.place, self.flip = (min_height, max_height), place, flip

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        rng = stream(results["seed"], results["draw"], "paste")
        if not self.bank or rng.random() >= self.probability:
            return results
        count = rng.integers(1, self.max_instances, endpoint=True)
        drawn = [self._draw(results["gt_seg_map"], rng) for _ in range(count)]
        placed = [(box, class_id, rgba) for box, class_id, rgba in drawn if box is not None]
        for box, class_id, rgba in sorted(placed, key=lambda each: each[0].row + each[0].height):
            cutout = resize(rgba, box.height, box.width)
            results["img"], results["gt_seg_map"] = paste(
                results["img"], results["gt_seg_map"], cutout, class_id, box.row, box.col
            )
        return results

    def _draw(self, label: Pixels, rng: np.random.Generator) -> tuple[Box | None, int, Pixels]:
        class_id = list(self.bank)[rng.integers(len(self.bank))]
        rgba = self.bank[class_id][int(rng.integers(len(self.bank[class_id])))]
        if rng.random() < self.flip:
            rgba = rgba[:, ::-1]
        if self.place == "ucg":
            return place_anywhere(label, rgba.shape[:2], rng), class_id, rgba
        return place_on_ground(label, rgba.shape[:2], rng, *self.heights), class_id, rgba
