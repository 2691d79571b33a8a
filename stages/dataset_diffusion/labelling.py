"""The label map of a drawing: thresholds, edges moved to the picture's own, and no region for what was not drawn.

The thresholds alone are published; the rest is off in preset `published`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from stages.dataset_diffusion.params import Masks
from stages.parts.datasets.labels import IGNORE
from stages.parts.masks.class_maps import enlarged, label_map
from stages.parts.masks.dense_crf import Kernels, dense_crf_labels
from stages.parts.masks.sam_prompts import prompt
from stages.parts.masks.scores import agreement
from stages.parts.pretrained.promptable import CHOICES, Promptable

if TYPE_CHECKING:
    from stages.parts.pretrained.clip import Clip

Labels = NDArray[np.uint8]
Image = NDArray[np.uint8]


Regions = dict[int, NDArray[np.bool_]]  # class id -> where it is, (H, W)


@dataclass(frozen=True)
class Labeller:
    """The values of `masks`, the model that regions snap to, and that which says whether an object was drawn; None: no
    such thing is done."""

    settings: Masks
    snapping: Snapping | None = None
    presence: Presence | None = None

    def __call__(self, image: Image, maps: NDArray[np.float32], ids: Sequence[int]) -> Labels:
        """image (H, W, 3) uint8 RGB; maps (K, h, w) float32 in [0, 1], of each word; ids (K,) of their classes -> label
        (H, W) uint8, 0 background, 255 ignored."""
        settings = self.settings
        label = label_map(enlarged(maps, image.shape), ids, settings.threshold, settings.uncertain, settings.margin)
        regions = {int(k): label == k for k in np.unique(label) if k not in (0, IGNORE)}
        doubt = label == IGNORE
        if self.snapping is not None and regions:
            regions, doubt = self.snapping(image, regions, doubt)
        if self.presence is not None:
            absent = [k for k, region in regions.items() if not self.presence(image, region, k)]
            for k in absent:
                doubt = doubt | regions.pop(k)
        label = overlaid(regions, doubt)
        return crf_labels(image, label, settings.crf.model_dump()) if settings.crf.iterations else label


def open_labeller(settings: Masks, names: Sequence[str], sam: Path | None, clip: Path | None) -> Labeller:
    """names: the classes, background first; sam, clip: where `snap.model` (a folder in transformers' layout or SAM's
    own .pth) and `presence.model` lie; None: without."""
    if sam is None and clip is None:
        return Labeller(settings)
    import torch  # here, and the models below: published masks are made without

    from stages.parts.pretrained.clip import Clip
    from stages.parts.pretrained.sam import Sam
    from stages.parts.pretrained.sam_pth import SamCheckpoint

    device = "cuda" if torch.cuda.is_available() else "cpu"
    snapping, presence = None, None
    if sam is not None:
        model = SamCheckpoint(sam, device) if sam.is_file() else Sam(sam, device)
        snapping = Snapping(model, settings.snap.prompt, settings.snap.min_agreement)
    if clip is not None:
        texts = [f"a photo of a {name}" for name in names[1:]]
        presence = Presence(Clip(clip, texts, device), settings.presence.min_score)
    return Labeller(settings, snapping, presence)


def overlaid(regions: Regions, doubt: NDArray[np.bool_]) -> Labels:
    """One label map of regions that may overlap, the larger first: what is small stands before what is large. Doubt
    (H, W) bool is 255 where no region is; the rest is background."""
    label = np.where(doubt, np.uint8(IGNORE), np.uint8(0))
    for number in sorted(regions, key=lambda one: (-int(regions[one].sum()), one)):
        label[regions[number]] = number
    return label


class Presence:
    """Whether a region shows its class, as CLIP sees the region cut out on grey: a model that was asked for several
    objects may leave one out, and the word of that one points at something all the same."""

    def __init__(self, clip: Clip, min_score: float) -> None:
        self.clip, self.min_score = clip, min_score

    def __call__(self, image: Image, region: NDArray[np.bool_], number: int) -> bool:
        """Whether CLIP gives class `number` (1 = its first text) at least `min_score` of its probability."""
        from stages.parts.pretrained.clip import isolate

        return bool(region.any()) and float(self.clip(isolate(image, region))[number - 1]) >= self.min_score


class Snapping:
    """A promptable model that is asked for the object under each class's region, and gives the region its edges."""

    def __init__(self, model: Promptable, style: str, min_agreement: float) -> None:
        self.model, self.style, self.min_agreement = model, style, min_agreement

    def __call__(self, image: Image, regions: Regions, doubt: NDArray[np.bool_]) -> tuple[Regions, NDArray[np.bool_]]:
        """The model's mask of each region, and what is still in doubt: nothing, if every region has one.

        Of the three masks the one that agrees most with the region is taken, if its IoU with it is `min_agreement` or
        more; else the region stays as it is, and the doubt around regions too."""
        encoded = self.model.encode([image])[0]
        snapped, kept = {}, False
        for number, region in regions.items():
            candidates = self.model.ask(encoded, prompt(region, self.style))
            mask = candidates.masks[CHOICES["agreement"](candidates, region)]
            agrees = agreement(mask, region) >= self.min_agreement
            snapped[number], kept = (mask if agrees else region), kept or not agrees
        return snapped, doubt if kept else np.zeros_like(doubt)


def crf_labels(image: Image, label: Labels, kernels: Mapping[str, Any]) -> Labels:
    """The label map after a dense CRF of its classes and the background: no pixel is in doubt any more.

    image: (H, W, 3) uint8 RGB; label: (H, W) uint8, 255 where every class is as likely as any other. A map of one class
    alone, or of nothing but doubt, stays as it is."""
    ids = np.unique(label[label != IGNORE])
    if len(ids) < 2:
        return label
    sure = (label[None] == ids[:, None, None]).astype(np.float32)
    probability = np.where(label == IGNORE, np.float32(1 / len(ids)), sure)
    marginal = dense_crf_labels(image, probability, Kernels(**kernels))  # type: ignore[typeddict-item]
    return ids[marginal.argmax(axis=0)].astype(np.uint8)
