"""From regions on the feature grid to a label map of the picture: median, soft labels, dense CRF.

Hahn et al., TMLR 2024 (PriMaPs), section 3.1: the regions, and a background where there is none, are the labels of a
CRF at picture size, whose unaries are their bilinearly enlarged log-probabilities.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from scipy.ndimage import median_filter

from stages.parts.datasets.labels import IGNORE
from stages.parts.masks.dense_crf import Kernels, dense_crf_labels

MOST = 254  # ids of one picture: 1 to 254, 255 is none
SHARPNESS = 10.0  # by which the median of cosines is multiplied before it is cut off at 1


def proposal_labels(
    image: NDArray[np.uint8],
    maps: NDArray[np.float32],
    *,
    median: bool,
    least: int,
    confidence: float | None,
    crf: Kernels,
) -> NDArray[np.uint8]:
    """The label map of one picture, (H, W) uint8: the number of a region in order, from 1 on; 255 where there is none.

    image: (H, W, 3) uint8 RGB; maps: (K, h, w) float32 of Proposals, K <= MOST; median: a 3x3 median of each, its
    edges reflected, as published: a majority vote that may erase a region, whose number then stays unused; least:
    regions of fewer cells are left out, the others numbered anew; confidence and crf: as of soft_labels and
    dense_crf_labels, 0 iterations for none. No region gives 255 everywhere. ValueError for more regions than a byte
    can name."""
    if len(maps) > MOST:
        raise ValueError(f"{len(maps)} regions, but a label map can name {MOST}")
    if median and len(maps):
        maps = median_filter(maps, size=(1, 3, 3), mode="mirror")
    maps = maps[(maps > 0).sum((1, 2)) >= least]
    if not maps.any():
        return np.full(image.shape[:2], IGNORE, dtype=np.uint8)
    probability = soft_labels(maps, (image.shape[0], image.shape[1]), confidence)
    if crf["iterations"]:
        probability = dense_crf_labels(image, probability, crf)
    label = probability.argmax(axis=0).astype(np.uint8)
    return np.where(label == 0, np.uint8(IGNORE), label)


def with_background(maps: NDArray[np.float32]) -> NDArray[np.float32]:
    """Regions (K, h, w), K > 0, as memberships in [0, 1], (K + 1, h, w): the first is the background, where none is.

    With one region too: the published code then sums over the rows of it, and finds no background."""
    member = np.clip(SHARPNESS * maps, 0.0, 1.0)
    level = member[member > 0].mean() if member.any() else 1.0
    background = np.clip(level - member.sum(axis=0, keepdims=True), 0.0, 1.0)
    return np.concatenate([background, member]).astype(np.float32)


def soft_labels(maps: NDArray[np.float32], size: tuple[int, int], confidence: float | None) -> NDArray[np.float32]:
    """Probabilities of background and regions at `size` (H, W): (K + 1, H, W) float32 of sum 1 per pixel.

    confidence: of a cell's own label, the rest being shared by all others; None: the softmax of the memberships
    themselves, as published, e / (e + K), which the more regions there are the less says."""
    member = with_background(maps)
    others = len(member) - 1
    scale = 1.0 if confidence is None else float(np.log(confidence * others / (1.0 - confidence)))
    log_probability = F.log_softmax(torch.from_numpy(scale * member)[None], dim=1)
    fine = F.interpolate(log_probability, size, mode="bilinear", align_corners=False)
    return fine.softmax(1)[0].numpy()
