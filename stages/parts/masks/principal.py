"""Cells that look alike: what the masks of PriMaPs are made of, and one mask where an attribution map is the guide.

Hahn et al., "Boosting Unsupervised Semantic Segmentation with Principal Mask Proposals", TMLR 2024: a direction in
feature space is turned into a mask by the cosine of every cell with it. In the paper the direction comes from a PCA
of the cells that are still free, and so one region after the other (proposals.py); principal_mask takes the place where
a word's attribution map peaks.
"""

from __future__ import annotations

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

CELLS = 5  # the peak of the map: as many cells
TOUCHING = 0.5  # a region counts if it holds a cell of at least this share of the map's maximum


def flat_cells(features: Tensor, centred: bool) -> Tensor:
    """Features (B, C, h, w) -> their cells (B, C, h*w), rows one by one; `centred`: less the mean over the cells of
    their own picture, for what all cells share says nothing."""
    cells = features.flatten(2)
    return cells - cells.mean(2, keepdim=True) if centred else cells


def unit_cells(cells: Tensor) -> Tensor:
    """u = f / |f| of each cell, (B, C, N) -> (B, C, N); a cell without contrast, of length 0, stays 0."""
    norms = torch.linalg.vector_norm(cells, dim=1, keepdim=True)
    return torch.where(norms > 0, cells / norms.clamp(min=torch.finfo(cells.dtype).tiny), 0.0)


def cosines(unit: Tensor, direction: Tensor) -> Tensor:
    """<v, u>: units (B, C, N) and directions (B, C) of length 1 -> (B, N) in [-1, 1]; 0 for a cell of length 0."""
    return torch.bmm(direction[:, None], unit)[:, 0]


def principal_mask(
    features: NDArray[np.float32], attribution: NDArray[np.float32], similarity: float
) -> NDArray[np.bool_]:
    """The region that looks like what the map points at most.

    features: (C, h, w); attribution: (H, W) float32 in [0, 1], maximum 1. The direction v is the mean unit feature of
    the CELLS cells where the map is highest; a cell belongs if its cosine with v is at least `similarity`; of the
    8-connected regions those count that the map touches. The cosine, enlarged bilinearly, decides at image size:
    (H, W) bool. Empty when the map is 0 or the features have no contrast.
    """
    size = features.shape[1:]
    coarse = cv2.resize(attribution, size[::-1], interpolation=cv2.INTER_AREA)
    unit = unit_cells(flat_cells(torch.from_numpy(np.ascontiguousarray(features))[None], centred=True))
    peak = np.argsort(-coarse.reshape(-1), kind="stable")[:CELLS]
    direction = unit[:, :, torch.from_numpy(peak)].mean(2)
    length = torch.linalg.vector_norm(direction)
    if not (attribution.any() and length > 0):
        return np.zeros(attribution.shape, dtype=np.bool_)
    cosine = cosines(unit, direction / length).reshape(size).numpy()
    fine = cv2.resize(cosine, attribution.shape[::-1], interpolation=cv2.INTER_LINEAR)
    return touched(fine >= similarity, attribution >= TOUCHING)


def touched(mask: NDArray[np.bool_], by: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The 8-connected parts of an (H, W) bool mask that share a pixel with `by`."""
    _, parts = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)
    return mask & np.isin(parts, np.unique(parts[mask & by]))
