"""Attribution map + frozen features -> mask: PriMaPs with the map's peak in the place of the principal direction.

Hahn et al., "Boosting Unsupervised Semantic Segmentation with Principal Mask Proposals", TMLR 2024, steps 2 to 4 of
its mask proposal for one mask. The paper finds the seed by a PCA of all features and so one region after the other;
here the word's attribution map says where the object is.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

CELLS = 5  # the peak of the map: as many cells
TOUCHING = 0.5  # a region counts if it holds a cell of at least this share of the map's maximum


def principal_mask(
    features: NDArray[np.float32], attribution: NDArray[np.float32], similarity: float
) -> NDArray[np.bool_]:
    """The region that looks like what the map points at most.

    features: (C, h, w); attribution: (H, W) float32 in [0, 1], maximum 1. The features are centred, as for the
    paper's PCA: what all cells share says nothing. The direction v is the mean unit feature of the CELLS cells where
    the map is highest; a cell belongs if its cosine with v is at least `similarity`; of the 8-connected regions those
    count that the map touches. The cosine, enlarged bilinearly, decides at image size: (H, W) bool. Empty when the map
    is 0 or the features have no contrast.
    """
    size = features.shape[1:]
    coarse = cv2.resize(attribution, size[::-1], interpolation=cv2.INTER_AREA)
    centred = features - features.mean(axis=(1, 2), keepdims=True)
    norms = np.linalg.norm(centred, axis=0)
    unit = np.divide(centred, norms, out=np.zeros_like(centred), where=norms > 0)
    peak = np.argsort(-coarse.reshape(-1), kind="stable")[:CELLS]
    direction = unit.reshape(len(unit), -1)[:, peak].mean(axis=1)
    length = np.linalg.norm(direction)
    if not (attribution.any() and length > 0):
        return np.zeros(attribution.shape, dtype=np.bool_)
    cosine = np.tensordot(direction / length, unit, axes=1).astype(np.float32)
    fine = cv2.resize(cosine, attribution.shape[::-1], interpolation=cv2.INTER_LINEAR)
    return touched(fine >= similarity, attribution >= TOUCHING)


def touched(mask: NDArray[np.bool_], by: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The 8-connected parts of an (H, W) bool mask that share a pixel with `by`."""
    _, parts = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)
    return mask & np.isin(parts, np.unique(parts[mask & by]))
