"""Which pseudo-labelled pictures are clean: entropy ranking (section 3.4, equations 6 to 8) and its reassignment."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from stages.parts.datasets.labels import IGNORE


def entropy(probabilities: Tensor) -> Tensor:
    """H (..., H, W) in [0, 1] of class probabilities (..., C, H, W): -(1 / log C) Σ_c p_c log p_c; 0 log 0 is 0."""
    return torch.special.entr(probabilities).sum(dim=-3) / np.log(probabilities.shape[-3])


def image_score(uncertainty: NDArray[np.floating], pseudo_label: NDArray[np.uint8], base: int) -> float:
    """Mean of H (H, W) over the pixels whose pseudo-label is novel, above `base` classes and not 255.

    A picture without such a pixel has no score: infinity, so that it is ranked last. The published code divides 0 by 0
    there, and a NaN has no place in a sort."""
    novel = (pseudo_label > base) & (pseudo_label != IGNORE)
    return float(uncertainty[novel].mean()) if novel.any() else float("inf")


def clean_split(scores: Sequence[float], share: float, groups: Sequence[int] | None = None) -> NDArray[np.bool_]:
    """(N,) bool: the first int(share * N) pictures, from the lowest score on; of equals, those that come first.

    groups (N,): the share is taken of each group by itself, a quota for each class, which the published code lacks.
    A picture without a score (infinity) is never clean."""
    values = np.asarray(scores, dtype=np.float64)
    owners = np.zeros(len(values), int) if groups is None else np.asarray(groups)
    clean = np.zeros(len(values), np.bool_)
    for owner in np.unique(owners):
        members = np.flatnonzero(owners == owner)
        order = members[np.argsort(values[members], kind="stable")]
        clean[order[: int(share * len(order))]] = True
    return clean & np.isfinite(values)


def main_class(pseudo_label: NDArray[np.uint8], base: int) -> int:
    """The novel id of most pixels of a pseudo-label; 0 where there is none."""
    novel = pseudo_label[(pseudo_label > base) & (pseudo_label != IGNORE)]
    return int(np.bincount(novel).argmax()) if novel.size else 0
