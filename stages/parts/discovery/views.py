"""What is done to pictures and labels: remap, pseudo-label, the published geometry; of a batch, colour jitter."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import numpy as np
import torch
from mmcv.transforms import BaseTransform
from numpy.typing import NDArray
from torch import Tensor

from stages.parts.discovery.regions import Found, pseudo_label
from stages.parts.store.samples import png_array
from stages.parts.store.shards import Shards
from stages.parts.store.streams import draw_stream

Results = dict[str, Any]

LUMA = (0.299, 0.587, 0.114)
TURN = torch.tensor([[0.0, -1, 1], [1, 0, -1], [-1, 1, 0]]) / math.sqrt(3)  # generates rotations about the grey axis


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


def jittered(images: Tensor, streams: Sequence[np.random.Generator], amount: float, hue: float) -> Tensor:
    """(B, 3, H, W) RGB in [0, 1] -> the same: brightness, contrast and saturation by factors in 1 ± amount, then hues
    turned by ± hue turns about the grey axis. Amounts of 0 change nothing.

    In this order, where torchvision's ColorJitter draws one; for a batch at once, which is faster on a CPU."""
    if not amount and not hue:
        return images
    drawn = np.stack([rng.uniform(-1, 1, 4) for rng in streams]).astype(np.float32)
    brightness, contrast, saturation, turn = torch.from_numpy(drawn).to(images).T[..., None, None, None]
    images = (images * (1 + amount * brightness)).clamp(0, 1)
    mean = _grey(images).mean(dim=(2, 3), keepdim=True)
    images = (mean + (images - mean) * (1 + amount * contrast)).clamp(0, 1)
    grey = _grey(images)
    images = (grey + (images - grey) * (1 + amount * saturation)).clamp(0, 1)
    if not hue:
        return images
    angle = 2 * math.pi * hue * turn[:, :, 0]
    rotation = torch.eye(3).to(images) * angle.cos() + TURN.to(images) * angle.sin() + (1 - angle.cos()) / 3
    return torch.einsum("bij,bjhw->bihw", rotation, images).clamp(0, 1)


def _grey(images: Tensor) -> Tensor:
    return (images * images.new_tensor(LUMA)[:, None, None]).sum(dim=1, keepdim=True)
