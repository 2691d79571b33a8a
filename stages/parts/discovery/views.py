"""What is done to a picture and its label before a batch: remap, pseudo-label, and the published geometry."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np
from mmcv.transforms import BaseTransform
from numpy.typing import NDArray

from stages.parts.discovery.regions import Found, pseudo_label
from stages.parts.store.samples import png_array
from stages.parts.store.shards import Shards
from stages.parts.store.streams import draw_stream

Results = dict[str, Any]


class Remap(BaseTransform):
    """The ids of a label by a (256,) table (splits.Discovery.remap)."""

    def __init__(self, table: NDArray[np.uint8]) -> None:
        self.table = table

    def transform(self, results: Results) -> Results:
        return results | {"gt_seg_map": self.table[results["gt_seg_map"]]}


class PseudoLabel(BaseTransform):
    """A picture's label is what base model and clusters say of it: shards of the stage regions, and of each picture
    {region: class id}. A picture that `classes` lacks has no novel class, its regions are ignored."""

    def __init__(self, regions: Shards, classes: Mapping[str, dict[int, int]]) -> None:
        self.regions, self.classes = regions, classes

    def of(self, uid: str) -> NDArray[np.uint8]:
        """(H, W) uint8."""
        files = self.regions.read(uid)
        found = Found(png_array(files["label.png"]), png_array(files["regions.png"]))
        return pseudo_label(found, self.classes.get(uid, {}))

    def transform(self, results: Results) -> Results:
        return results | {"gt_seg_map": self.of(results["uid"])}


class Geometry(BaseTransform):
    """One affine about the centre: turned by U(-degrees, degrees), scaled by U(1 - zoom, 1 + zoom); the image by cubic,
    the label by nearest pixels; beyond the border the image is black, the label `border`, 0 as published [2.2]."""

    def __init__(self, degrees: float, zoom: float, border: int) -> None:
        self.degrees, self.zoom, self.border = degrees, zoom, border

    def transform(self, results: Results) -> Results:
        if not self.degrees and not self.zoom:
            return results
        rng = draw_stream(results["seed"], results["draw"], f"{results['side']} affine")
        height, width = results["img"].shape[:2]
        angle, scale = rng.uniform(-self.degrees, self.degrees), rng.uniform(1 - self.zoom, 1 + self.zoom)
        matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), angle, scale)
        results["img"] = cv2.warpAffine(results["img"], matrix, (width, height), flags=cv2.INTER_CUBIC)
        if "gt_seg_map" in results:
            results["gt_seg_map"] = cv2.warpAffine(
                results["gt_seg_map"], matrix, (width, height), flags=cv2.INTER_NEAREST, borderValue=self.border
            )
        return results
