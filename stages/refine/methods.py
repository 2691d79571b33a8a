"""Map -> mask: the methods that params `refine.method` names, each a class that is loaded once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from stages.parts.datasets.labels import IGNORE
from stages.parts.errors import GraftError
from stages.parts.masks.contour import Mask
from stages.parts.masks.dense_crf import dense_crf
from stages.parts.masks.points import normalise, sigmoid
from stages.parts.masks.principal import principal_mask
from stages.parts.masks.propagation import labels, spread
from stages.parts.masks.sam_prompts import prompt
from stages.parts.pretrained.features import Features
from stages.parts.pretrained.promptable import CHOICES, Candidates, Image, Promptable
from stages.parts.pretrained.sam import Sam
from stages.parts.pretrained.sam_pth import SamCheckpoint
from stages.refine.views import views, vote


@dataclass(frozen=True)
class Drawn:
    """A generated sample: image (H, W, 3) uint8 RGB; attribution (H, W) float32, raw; seed (H, W) bool, not empty;
    where generate recorded them, Dataset Diffusion's self_attention (h*w, h*w) and cross_attention (h', w') float32."""

    image: Image
    attribution: NDArray[np.float32]
    seed: Mask
    self_attention: NDArray[np.float32] | None = None
    cross_attention: NDArray[np.float32] | None = None


@dataclass(frozen=True)
class Found:
    """A mask, (H, W) bool, maybe empty; the pixels, (H, W) bool, that the method itself doubts; of a promptable model
    also its candidates, and which of them was taken."""

    mask: Mask
    doubt: Mask
    candidates: Candidates | None = None
    taken: int = 0


class Method(Protocol):
    """Slot in the batch -> sample, and slot -> what was found. Slots that are left out change nothing in the others."""

    def __call__(self, batch: Mapping[int, Drawn]) -> dict[int, Found]: ...


class Attention:
    """The seed is the mask: threshold and CRF, as OVAM."""

    def __call__(self, batch: Mapping[int, Drawn]) -> dict[int, Found]:
        return {slot: Found(one.seed, undoubted(one.seed)) for slot, one in batch.items()}


@dataclass(frozen=True)
class Prompted:
    """The seed prompts a SAM, in so many views; of its masks one is taken, and a CRF may snap its edge to the image's.

    `slots` images are always encoded together, blank where there is none: how sums round depends on a batch's
    shape, and a resumed run must give the bytes of an unbroken one. `snap` holds dense_crf's keywords.
    """

    model: Promptable
    style: str
    negatives: int
    choose: str
    views: int
    snap: Mapping[str, Any]
    slots: int

    def __call__(self, batch: Mapping[int, Drawn]) -> dict[int, Found]:
        if not batch:
            return {}
        answers: dict[int, list[Candidates]] = {slot: [] for slot in batch}
        blank = np.zeros_like(next(iter(batch.values())).image)
        for view in views(self.views, self.model.patch(blank)):
            looked = [view.look(batch[slot].image) if slot in batch else blank for slot in range(self.slots)]
            encoded = self.model.encode(looked)
            for slot, one in batch.items():
                asked = view.point(prompt(one.seed, self.style, self.negatives), one.seed.shape[1])
                seen = self.model.ask(encoded[slot], asked)
                answers[slot].append(Candidates(view.back(seen.logits), seen.predicted_iou))
        return {slot: self._take(one, vote(answers[slot])) for slot, one in batch.items()}

    def _take(self, one: Drawn, candidates: Candidates) -> Found:
        taken = CHOICES[self.choose](candidates, one.seed)
        mask = candidates.masks[taken]
        if mask.any() and self.snap["iterations"]:
            mask = dense_crf(one.image, sigmoid(candidates.logits[taken]), **self.snap)
        return Found(mask, undoubted(mask), candidates, taken)


@dataclass(frozen=True)
class OwnAttention:
    """Dataset Diffusion: the map along the image's self-attention, with its own band of doubt."""

    power: int
    threshold: float
    uncertain: float

    def __call__(self, batch: Mapping[int, Drawn]) -> dict[int, Found]:
        return {slot: Found(*self._one(one)) for slot, one in batch.items()}

    def _one(self, one: Drawn) -> tuple[Mask, Mask]:
        if one.self_attention is None or one.cross_attention is None:
            raise GraftError(
                "params.yaml refine.method is self_attention, but no self-attention was recorded with the images; set "
                "generate.attribution to dataset_diffusion, or choose another method"
            )
        maps = spread(one.self_attention, one.cross_attention[None], one.seed.shape, self.power)
        label = labels(maps, one.seed.shape, self.threshold, self.uncertain)
        return label == 1, label == IGNORE


@dataclass(frozen=True)
class Principal:
    """PriMaPs, seeded by the map, and the two-label CRF of the seed; `crf` holds dense_crf's keywords."""

    features: Features
    similarity: float
    crf: Mapping[str, Any]

    def __call__(self, batch: Mapping[int, Drawn]) -> dict[int, Found]:
        return {slot: self._one(one) for slot, one in batch.items()}

    def _one(self, one: Drawn) -> Found:
        rough = principal_mask(self.features(one.image), normalise(one.attribution), self.similarity)
        mask = dense_crf(one.image, rough, **self.crf)
        return Found(mask, undoubted(mask))


def undoubted(mask: Mask) -> Mask:
    return np.zeros_like(mask)


def open_sam(path: Path, device: str) -> Promptable:
    """A .pth file through segment-anything, a folder through transformers."""
    return SamCheckpoint(path, device) if path.is_file() else Sam(path, device)


def open_method(params: Mapping[str, Any], models: Mapping[str, Path], device: str) -> Method:
    """params: the section's values; models: where `model` or `primaps.encoder` lies, if the method needs it."""
    if params["method"] == "sam":
        return Prompted(
            open_sam(models["model"], device), params["prompt"], params["negatives"], params["choose"],
            params["views"], params["snap"], params["batch"],
        )  # fmt: skip
    if params["method"] == "primaps":
        return Principal(Features(models["primaps.encoder"], device), params["primaps"]["similarity"], params["crf"])
    if params["method"] == "self_attention":
        return OwnAttention(**params["self_attention"])
    return Attention()
