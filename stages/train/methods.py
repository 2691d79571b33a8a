"""What each method of unsupervised domain adaptation consists of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

from stages.parts.errors import GraftError
from stages.parts.learning.pseudo_labels import Margin

Name = Literal["source_only", "supervised", "dacs", "daformer", "hrda", "mic", "mic_hrda"]


class Method(NamedTuple):
    """adapts: mean teacher and ClassMix on the target; rare: rare class sampling; distance: thing-class feature
    distance; detail: context and detail crops (HRDA); masks: masked consistency (MIC).
    """

    adapts: bool = True
    rare: bool = False
    distance: bool = False
    detail: bool = False
    masks: bool = False


METHODS: dict[Name, Method] = {
    "source_only": Method(adapts=False),
    "supervised": Method(adapts=False),  # the same on labelled target images: the oracle
    "dacs": Method(),
    "daformer": Method(rare=True, distance=True),
    "hrda": Method(rare=True, distance=True, detail=True),
    "mic": Method(rare=True, distance=True, masks=True),  # on DAFormer
    "mic_hrda": Method(rare=True, distance=True, detail=True, masks=True),
}


def check_encoder(name: Name, encoder: str | None) -> None:
    """GraftError for a method that needs an encoder and has none."""
    if METHODS[name].distance and encoder is None:
        raise GraftError(
            f"params.yaml: method {name} keeps the features near to those of train.encoder, which is null; "
            f"name one, or take method dacs"
        )


@dataclass(frozen=True)
class Options:
    """The switches of the losses. What each is in a published method stands in presets.py.

    threshold        probability from which a pseudo-label counts towards the weight q
    quality_per      q is the share of sure pixels of the batch (over all ranks) or of each image
    classes_of       ClassMix draws from the classes of each image, or from those of the batch (over all
                     ranks), 255 among them, as DACS's code does
    margin           pixels at the top, bottom, left and right of a target image that get no pseudo-label
    margin_of        these are counted from the crop's border or from the whole image's
    jitter_probability, jitter, blur_probability   the strong augmentation of mixed and masked images
    teacher_norm     the teacher's batch norm goes by the batch at hand, or by its running statistics
    distance_weight, distance_ratio, distance_classes   feature distance: lambda, the share of a cell that one
                     class must fill, the ids of the thing classes
    detail_weight    HRDA: weight of the loss of the detail alone, that of the fused logits being 1 less it
    mask_weight, mask_ratio, mask_block   MIC: lambda, the share of blocks hidden, their side in pixels
    """

    threshold: float
    quality_per: Literal["batch", "image"]
    classes_of: Literal["batch", "image"]
    margin: Margin
    margin_of: Literal["crop", "image"]
    jitter_probability: float
    jitter: float
    blur_probability: float
    teacher_norm: Literal["batch", "running"]
    distance_weight: float
    distance_ratio: float
    distance_classes: tuple[int, ...]
    detail_weight: float
    mask_weight: float
    mask_ratio: float
    mask_block: int
