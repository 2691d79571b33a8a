"""What a training picture goes through: objects pasted in, another size, a crop, other colours.

Each takes its chances from the stream of (seed, draw, its own name), as the transforms of parts/learning do.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import cv2
import numpy as np
from mmcv.transforms import BaseTransform
from numpy.typing import NDArray
from tqdm import tqdm

from stages.dataset_diffusion.params import Compose, Train
from stages.parts.datasets.labels import IGNORE, LabelSpace
from stages.parts.learning.transforms import Crop, Flip, Results
from stages.parts.pasting.paste import PasteCutouts
from stages.parts.pasting.place import Scale
from stages.parts.store.streams import draw_stream

Pixels = NDArray[np.uint8]
MEAN = (124, 116, 104)  # ImageNet's, RGB: what lies beyond a picture's border
FLIP = 0.5
# PhotoMetricDistortion of mmsegmentation, and of Dataset Diffusion's configs
BRIGHTNESS, CONTRAST, SATURATION, HUE = 32.0, 0.5, 0.5, 18.0


def pipeline(train: Train, labels: LabelSpace, bank: dict[int, list[Pixels]] | None = None) -> list[BaseTransform]:
    """The transforms of a branch; with a bank, its objects are pasted in first."""
    composed = [composing(train.compose, bank, labels)] if bank and train.compose.probability else []
    height, width = train.crop
    return [
        *composed,
        RandomResize(train.resize[0], train.resize[1]),
        Pad(height, width),
        Crop(height, width, train.max_class_share),
        Flip(FLIP),
        PhotometricDistortion(train.photometric),
    ]


def composing(compose: Compose, bank: dict[int, list[Pixels]], labels: LabelSpace) -> PasteCutouts:
    """One to `max_instances` objects of other drawings pasted into a drawing, anywhere, mirrored by chance."""
    return PasteCutouts(
        bank, compose.probability, "image", compose.max_instances, Scale("area", compose.min_area, compose.max_area),
        "anywhere", FLIP, labels=labels,
    )  # fmt: skip


def cut_out(samples: Iterable[tuple[Pixels, Pixels]], min_object: float, title: str) -> dict[int, list[Pixels]]:
    """The objects of drawings: class id -> (h, w, 4) uint8 RGBA each, cropped to the object.

    samples: image (H, W, 3) uint8 RGB and label (H, W) uint8. An object is the largest connected part of a class's
    region, if it fills `min_object` of the picture or more, and touches no border: what is cut off would float."""
    bank: dict[int, list[Pixels]] = {}
    for image, label in tqdm(samples, desc=title, unit="picture", delay=2, leave=False):
        for number in np.unique(label[(label != 0) & (label != IGNORE)]):
            part = largest_part(label == number)
            rows, columns = (np.flatnonzero(part.any(axis)) for axis in (1, 0))
            if part.mean() >= min_object and not _touches(part):
                box = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
                alpha = part[box].astype(np.uint8) * np.uint8(255)
                bank.setdefault(int(number), []).append(np.dstack([image[box] * (alpha[..., None] > 0), alpha]))
    return bank


def largest_part(region: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The largest 8-connected part of a region that is not empty."""
    _, parts, statistics, _ = cv2.connectedComponentsWithStats(region.astype(np.uint8), connectivity=8)
    return parts == 1 + int(statistics[1:, cv2.CC_STAT_AREA].argmax())


def _touches(part: NDArray[np.bool_]) -> bool:
    return bool(part[:, 0].any() or part[:, -1].any() or part[0].any())


class RandomResize(BaseTransform):
    """Scale picture and label by one uniform factor, the label by its nearest pixels."""

    def __init__(self, smallest: float, largest: float) -> None:
        self.range = smallest, largest

    def transform(self, results: Results) -> Results:
        factor = float(_rng(results, "resize").uniform(*self.range))
        height, width = (max(1, round(side * factor)) for side in results["img"].shape[:2])
        scaled = {"img": cv2.resize(results["img"], (width, height), interpolation=cv2.INTER_LINEAR)}
        if "gt_seg_map" in results:
            label = np.ascontiguousarray(results["gt_seg_map"])
            scaled["gt_seg_map"] = cv2.resize(label, (width, height), interpolation=cv2.INTER_NEAREST)
        return results | scaled


class Pad(BaseTransform):
    """Bring what is smaller to (height, width) by a border to the right and below, labelled 255."""

    def __init__(self, height: int, width: int) -> None:
        self.size = height, width

    def transform(self, results: Results) -> Results:
        below, right = (max(0, side - own) for side, own in zip(self.size, results["img"].shape[:2], strict=True))
        if not (below or right):
            return results
        border = (0, below, 0, right, cv2.BORDER_CONSTANT)
        padded = {"img": cv2.copyMakeBorder(results["img"], *border, value=MEAN)}
        if "gt_seg_map" in results:
            padded["gt_seg_map"] = cv2.copyMakeBorder(results["gt_seg_map"], *border, value=IGNORE)
        return results | padded


class PhotometricDistortion(BaseTransform):
    """Brightness, contrast, saturation and hue, each with this probability; contrast before or after the other two."""

    def __init__(self, probability: float) -> None:
        self.probability = probability

    def transform(self, results: Results) -> Results:
        rng = _rng(results, "photometric")
        bright, contrasts, saturates, turns, late = rng.random(5) < (*(self.probability,) * 4, 0.5)
        added, factor = rng.uniform(-BRIGHTNESS, BRIGHTNESS), rng.uniform(1 - CONTRAST, 1 + CONTRAST)
        saturation, hue = rng.uniform(1 - SATURATION, 1 + SATURATION), rng.uniform(-HUE, HUE)
        image = results["img"].astype(np.float32)
        if bright:
            image = image + np.float32(added)
        if contrasts and not late:
            image = image * np.float32(factor)
        if saturates or turns:
            hsv = cv2.cvtColor(np.clip(image, 0, 255) / np.float32(255), cv2.COLOR_RGB2HSV)  # hue in degrees
            if saturates:
                hsv[..., 1] = np.clip(hsv[..., 1] * np.float32(saturation), 0, 1)
            if turns:
                hsv[..., 0] = (hsv[..., 0] + np.float32(2 * hue)) % 360  # published in half degrees
            image = cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB) * np.float32(255)
        if contrasts and late:
            image = image * np.float32(factor)
        return results | {"img": np.rint(np.clip(image, 0, 255)).astype(np.uint8)}


def _rng(results: dict[str, Any], purpose: str) -> np.random.Generator:
    return draw_stream(results["seed"], results["draw"], f"{results['side']} {purpose}")
