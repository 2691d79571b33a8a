"""Transforms of one side of a pair, in mmsegmentation's results dict: size, crop, mirror.

Each takes its chances from the stream of (seed, draw, its own name), so that mmsegmentation's own, which take them
from numpy's global generator, do not do: a resumed run would crop elsewhere.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from mmcv.transforms import BaseTransform
from mmseg.registry import TRANSFORMS

from stages.parts.datasets.labels import IGNORE
from stages.parts.store.streams import draw_stream

Results = dict[str, Any]
NAMES = ("img", "gt_seg_map")


@TRANSFORMS.register_module()
class Flip(BaseTransform):
    """Mirror image and label left to right with this probability, each side of a pair on its own."""

    def __init__(self, probability: float) -> None:
        self.probability = probability

    def transform(self, results: Results) -> Results:
        flip = _rng(results, "flip").random() < self.probability
        if flip:
            for name in {*NAMES} & set(results):
                results[name] = results[name][:, ::-1]
        return results | {"flip": bool(flip)}


@TRANSFORMS.register_module()
class ResizeTo(BaseTransform):
    """Bring the image to (height, width) bilinearly, the label by its nearest pixels."""

    def __init__(self, height: int, width: int) -> None:
        self.size = (width, height)

    def transform(self, results: Results) -> Results:
        results["img"] = cv2.resize(results["img"], self.size, interpolation=cv2.INTER_LINEAR)
        if "gt_seg_map" in results:
            results["gt_seg_map"] = cv2.resize(results["gt_seg_map"], self.size, interpolation=cv2.INTER_NEAREST)
        return results


@TRANSFORMS.register_module()
class Crop(BaseTransform):
    """Cut out (height, width) anywhere; what is smaller stays as it is.

    A labelled crop is drawn again, up to ten times, while one class fills `max_class_share` of its labelled pixels
    or more (mmsegmentation's cat_max_ratio). If the results want pixels of a class ("wanted": (class, pixels)), all
    that is done again, up to `tries` times, until the crop has more: rare class sampling. The last crop is taken.
    """

    def __init__(self, height: int, width: int, max_class_share: float = 1.0, tries: int = 10) -> None:
        self.size, self.max_class_share, self.tries = (height, width), max_class_share, tries

    def transform(self, results: Results) -> Results:
        whole, rng = results["img"].shape[:2], _rng(results, "crop")
        label, (class_id, pixels) = results.get("gt_seg_map"), results.get("wanted", (IGNORE, -1))
        for _ in range(self.tries):
            box = self._box(whole, label, rng)
            if label is None or np.count_nonzero(_cut(label, box) == class_id) > pixels:
                break
        for name in {*NAMES} & set(results):
            results[name] = _cut(results[name], box)
        return results | {"box": box, "whole_shape": whole}

    def _box(self, whole: tuple[int, int], label: np.ndarray | None, rng: np.random.Generator) -> tuple[int, ...]:
        height, width = (min(side, room) for side, room in zip(self.size, whole, strict=True))
        for _ in range(10):
            row, col = rng.integers(0, (whole[0] - height, whole[1] - width), endpoint=True)
            box = int(row), int(col), height, width
            if label is None or self.max_class_share >= 1 or self._is_mixed(_cut(label, box)):
                break
        return box

    def _is_mixed(self, label: np.ndarray) -> bool:
        pixels = np.bincount(label.ravel(), minlength=256)[:IGNORE]
        return bool((pixels > 0).sum() > 1 and pixels.max() / pixels.sum() < self.max_class_share)


def _cut(array: np.ndarray, box: tuple[int, ...]) -> np.ndarray:
    row, col, height, width = box
    return array[row : row + height, col : col + width]


def _rng(results: Results, purpose: str) -> np.random.Generator:
    return draw_stream(results["seed"], results["draw"], f"{results['side']} {purpose}")
