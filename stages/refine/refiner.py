"""The line of one batch: attribution -> seed -> method -> mask -> scores. No bad sample raises."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from stages.parts.masks import scores
from stages.parts.masks.contour import Mask
from stages.parts.masks.dense_crf import dense_crf
from stages.parts.masks.doubt import alpha, doubted
from stages.parts.masks.points import hard_seed, normalise
from stages.parts.masks.scores import Score
from stages.parts.pretrained.clip import Clip, isolate
from stages.refine.methods import Drawn, Found, Method, undoubted

if TYPE_CHECKING:
    from stages.refine.entropy import Certainty

# Why a sample has no mask; a sample that `generate` rejected keeps the reason that it came with.
EMPTY_SEED = "empty_seed"
EMPTY_MASK = "empty_mask"


@dataclass(frozen=True)
class Edge:
    """doubt: (H, W) bool, the pixels to ignore; alpha: (H, W) uint8, the opacity for blending."""

    doubt: Mask
    alpha: NDArray[np.uint8]


@dataclass(frozen=True)
class Refined:
    """mask, seed: (H, W) bool; attribution: (H, W) float32 in [0, 1]; a reason, or scores by column; edge: what the
    methods do not agree on, if it was asked for."""

    mask: Mask
    seed: Mask
    attribution: NDArray[np.float32]
    reason: str = ""
    scores: dict[str, Score | str] = field(default_factory=dict)
    edge: Edge | None = None


@dataclass(frozen=True)
class Raw:
    """What generate left of a sample: see methods.Drawn; `rejected` is "" or why it is of no use. A published cutout
    brings its `mask`, (H, W) bool, which is its attribution too: it is measured, and no method looks at it."""

    image: NDArray[np.uint8]
    attribution: NDArray[np.float32]
    rejected: str = ""
    self_attention: NDArray[np.float32] | None = None
    cross_attention: NDArray[np.float32] | None = None
    mask: Mask | None = None


@dataclass(frozen=True)
class Refiner:
    """The models and the values of params `refine` that make a mask; `crf` holds dense_crf's keywords, `ring` is
    the width in pixels of the ring of doubt, 0 for none."""

    method: Method
    clip: Clip
    threshold: float
    crf: Mapping[str, Any]
    ring: int
    certainty: Certainty | None = None

    def __call__(self, batch: Mapping[int, Raw]) -> dict[int, Refined]:
        """Slot in the batch -> sample, to slot -> refined. An empty seed or mask is a reason."""
        seeds = {slot: self._seed(raw) for slot, raw in batch.items()}
        drawn = {
            slot: Drawn(raw.image, raw.attribution, seeds[slot], raw.self_attention, raw.cross_attention)
            for slot, raw in batch.items()
            if seeds[slot].any()
        }
        given = {slot: Found(mask, undoubted(mask)) for slot in drawn if (mask := batch[slot].mask) is not None}
        found = self.method({slot: one for slot, one in drawn.items() if slot not in given}) | given
        return {
            slot: self._measured(drawn[slot], found[slot]) if slot in found else unrefined(raw)
            for slot, raw in batch.items()
        }

    def _seed(self, raw: Raw) -> Mask:
        if raw.rejected:
            return np.zeros(raw.attribution.shape, dtype=np.bool_)
        if raw.mask is not None:
            return raw.mask
        return dense_crf(raw.image, hard_seed(raw.attribution, self.threshold), **self.crf)

    def _measured(self, drawn: Drawn, found: Found) -> Refined:
        mask, seed, normalised = found.mask, drawn.seed, normalise(drawn.attribution)
        if not mask.any():
            return Refined(mask, seed, normalised, EMPTY_MASK)
        measured: dict[str, Score | str] = {}
        measured |= confidence(found) | scores.shape(mask) | scores.attribution(mask, normalised)
        measured["agreement"] = scores.agreement(mask, seed)
        pointed = normalised > self.threshold
        measured["map_agreement"] = scores.agreement(mask, pointed)
        measured["seed_map_agreement"] = scores.agreement(seed, pointed)
        measured |= self.clip.class_scores(drawn.image, mask)
        measured["phash"] = scores.phash(isolate(drawn.image, mask))
        if self.certainty is not None:
            measured["entropy"] = self.certainty.entropy(drawn.image, mask)
        return Refined(mask, seed, normalised, scores=measured, edge=self._edge(seed, pointed, found))

    def _edge(self, seed: Mask, pointed: Mask, found: Found) -> Edge | None:
        """The other opinions are the map above the threshold, the seed, and the candidates that were not taken. A
        method's own doubt needs no ring; an imported mask has no other opinion, for its map and seed are itself."""
        if not (self.ring or found.doubt.any()):
            return None
        others = () if found.candidates is None else np.delete(found.candidates.masks, found.taken, axis=0)
        opinions = [pointed, seed, *others]
        doubt = doubted(found.mask, opinions, self.ring) | found.doubt
        return Edge(doubt, alpha(found.mask, opinions, self.ring))


def confidence(found: Found) -> dict[str, Score]:
    """What a promptable model says of the mask taken: which it is, the IoU it predicts, its stability. Else nothing."""
    if found.candidates is None:
        return {}
    return {
        "candidate": found.taken,
        "predicted_iou": float(found.candidates.predicted_iou[found.taken]),
        "stability": scores.stability(found.candidates.logits[found.taken]),
    }


def unrefined(raw: Raw) -> Refined:
    """A sample without a seed, with the reason that it came with if it did: an empty mask and seed, and no score."""
    nothing = np.zeros(raw.attribution.shape, dtype=np.bool_)
    return Refined(nothing, nothing, normalise(raw.attribution), raw.rejected or EMPTY_SEED)
