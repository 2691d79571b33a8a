"""The line of one sample: attribution -> seed -> points -> SAM -> scores. No bad sample raises."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.refine import scores
from stages.refine.clip import Clip
from stages.refine.contour import Mask
from stages.refine.points import MODES
from stages.refine.sam import Candidates, Sam
from stages.refine.scores import Score
from stages.refine.seed import dense_crf, hard_seed, normalise

# Why a sample has no mask; a sample that `generate` rejected keeps the reason that it came with.
EMPTY_SEED = "empty_seed"
EMPTY_MASK = "empty_mask"


@dataclass(frozen=True)
class Refined:
    """mask, seed: (H, W) bool; attribution: (H, W) float32 in [0, 1]; a reason, or scores by column."""

    mask: Mask
    seed: Mask
    attribution: NDArray[np.float32]
    reason: str = ""
    scores: dict[str, Score] = field(default_factory=dict)


@dataclass(frozen=True)
class Refiner:
    """The models and the values of params `refine` that make a mask; `crf` holds dense_crf's keywords."""

    sam: Sam
    clip: Clip
    threshold: float
    crf: Mapping[str, Any]
    points: str

    def __call__(self, image: NDArray[np.uint8], attribution: NDArray[np.float32]) -> Refined:
        """image: (H, W, 3) uint8 RGB; attribution: (H, W) float32, raw. An empty seed or mask is a reason."""
        normalised = normalise(attribution)
        seed = dense_crf(image, hard_seed(attribution, self.threshold), **self.crf)
        if not seed.any():
            return Refined(seed, seed, normalised, EMPTY_SEED)
        candidates = self.sam(image, MODES[self.points](seed))
        mask = candidates.mask
        if not mask.any():
            return Refined(mask, seed, normalised, EMPTY_MASK)
        measured = confidence(candidates) | scores.shape(mask) | scores.attribution(mask, normalised)
        measured["agreement"] = scores.agreement(mask, seed)
        measured["class_score"] = self.clip.class_score(image, mask)
        return Refined(mask, seed, normalised, scores=measured)


def confidence(candidates: Candidates) -> dict[str, Score]:
    """What SAM says of its best candidate: which it is, the IoU it predicts, and its stability."""
    best = candidates.best
    return {
        "candidate": best,
        "predicted_iou": float(candidates.predicted_iou[best]),
        "stability": scores.stability(candidates.logits[best]),
    }


def unrefined(attribution: NDArray[np.float32], reason: str) -> Refined:
    """A sample that came with a reason: an empty mask and seed, and no score."""
    nothing = np.zeros(attribution.shape, dtype=np.bool_)
    return Refined(nothing, nothing, normalise(attribution), reason)
