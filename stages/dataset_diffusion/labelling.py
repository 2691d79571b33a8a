"""The label map of a drawing: words whose object was not drawn go, thresholds, and edges moved to the picture's own.

The thresholds alone are published; the rest is off in preset `published`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.dataset_diffusion.params import Masks
from stages.parts.datasets.labels import IGNORE
from stages.parts.masks.class_maps import enlarged, label_map
from stages.parts.masks.dense_crf import Kernels, dense_crf_labels
from stages.parts.masks.sam_prompts import prompt
from stages.parts.masks.scores import agreement
from stages.parts.pretrained.promptable import CHOICES, Promptable

Labels = NDArray[np.uint8]
Image = NDArray[np.uint8]


@dataclass(frozen=True)
class Labeller:
    """The values of `masks`, and the model that regions snap to, if one does."""

    settings: Masks
    snapping: Snapping | None = None

    def __call__(self, image: Image, maps: NDArray[np.float32], ids: Sequence[int], peaks: Sequence[float]) -> Labels:
        """image (H, W, 3) uint8 RGB; maps (K, h, w) float32 in [0, 1], of each word; ids (K,) of their classes; peaks
        (K,), see present -> label (H, W) uint8, 0 background, 255 ignored."""
        words, settings = present(peaks, self.settings.presence), self.settings
        large = enlarged(maps[words], image.shape)
        label = label_map(large, [ids[k] for k in words], settings.threshold, settings.uncertain, settings.margin)
        if self.snapping is not None:
            label = self.snapping(image, label)
        return crf_labels(image, label, settings.crf.model_dump()) if settings.crf.iterations else label


def open_labeller(settings: Masks, model: Path | None) -> Labeller:
    """model: where `snap.model` lies, a folder in transformers' layout or SAM's own .pth; None: regions stay."""
    if model is None:
        return Labeller(settings)
    import torch  # here, and the models below: most masks are made without

    from stages.parts.pretrained.sam import Sam
    from stages.parts.pretrained.sam_pth import SamCheckpoint

    device = "cuda" if torch.cuda.is_available() else "cpu"
    opened = SamCheckpoint(model, device) if model.is_file() else Sam(model, device)
    return Labeller(settings, Snapping(opened, settings.snap.prompt, settings.snap.min_agreement))


def present(peaks: Sequence[float], share: float) -> list[int]:
    """The words, by their place, of objects that were drawn: whose peak of attention is at least `share` of the largest
    peak among the picture's words. share 0: all. A word whose object is missing is spread thinly over the others'."""
    top = max(peaks, default=0.0)
    return [k for k, peak in enumerate(peaks) if peak >= share * top]


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


class Snapping:
    """A promptable model that is asked for the object under each class's region, and gives the region its edges."""

    def __init__(self, model: Promptable, style: str, min_agreement: float) -> None:
        self.model, self.style, self.min_agreement = model, style, min_agreement

    def __call__(self, image: Image, label: Labels) -> Labels:
        """The label map with each region replaced by the model's mask of it, the larger first, so that what is small
        stands before what is large; what was in doubt becomes background.

        Of the three masks the one that agrees most with the region is taken, if its IoU with it is `min_agreement` or
        more; else the region stays as it is, doubt around it included."""
        regions = {int(k): label == k for k in np.unique(label) if k not in (0, IGNORE)}
        if not regions:
            return label
        encoded = self.model.encode([image])[0]
        masks, kept = {}, np.zeros(label.shape, np.bool_)
        for number, region in regions.items():
            candidates = self.model.ask(encoded, prompt(region, self.style))
            mask = candidates.masks[CHOICES["agreement"](candidates, region)]
            if agreement(mask, region) >= self.min_agreement:
                masks[number] = mask
            else:
                masks[number], kept = region, kept | region
        snapped = np.where(kept.any() & (label == IGNORE), np.uint8(IGNORE), np.uint8(0))
        for number in sorted(masks, key=lambda one: (-int(masks[one].sum()), one)):
            snapped[masks[number]] = number
        return snapped
