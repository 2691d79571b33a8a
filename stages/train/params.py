"""What the stage reads of params.yaml.

What each value means stands beside it in params.yaml, what it is in a published method in stages/train/presets.py.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from stages.parts.engine.params import Engine
from stages.parts.learning.switches import EmaAt, NoDecay, Per, TeacherNorm
from stages.parts.pasting.composite import Blend
from stages.parts.pasting.place import By, Place
from stages.parts.pasting.place import Per as PastedPer
from stages.parts.sections import (
    ClassNames,
    Count,
    NonNegative,
    Pixels,
    Positive,
    Section,
    Sections,
    Share,
    Size,
    Window,
    one_of,
)
from stages.parts.segmenter.names import NETWORKS
from stages.train.methods import METHODS, Name

Margin = Annotated[list[Pixels], Field(min_length=4, max_length=4)]
PositiveShare = Annotated[float, Field(gt=0.0, le=1.0)]


class Paste(Section):
    probability: Share
    per: PastedPer
    max_instances: Count
    scale: By
    min_height: PositiveShare
    max_height: PositiveShare
    min_area: PositiveShare
    max_area: PositiveShare
    place: Place
    flip: Share
    colour: Share
    edge: Blend
    feather: Annotated[float, Field(gt=0.0, le=4096.0)]
    ring: Pixels
    protected: ClassNames
    min_visible: Share

    @model_validator(mode="after")
    def ordered(self) -> Paste:
        if self.min_height > self.max_height:
            raise ValueError("min_height must not be above max_height")
        if self.min_area > self.max_area:
            raise ValueError("min_area must not be above max_area")
        return self


class RareClasses(Section):
    temperature: Positive
    min_pixels: Annotated[int, Field(ge=0)]
    min_crop_ratio: NonNegative
    tries: Count
    novel_budget: Share | None


class FeatureDistance(Section):
    weight: NonNegative
    min_ratio: PositiveShare
    classes: Annotated[ClassNames, Field(min_length=1)]


class Detail(Section):
    size: Window
    weight: Share


class Masking(Section):
    weight: NonNegative
    ratio: Share
    block: Count


class Train(Section):
    method: Annotated[Name, one_of(METHODS)]
    model: Annotated[str, one_of(NETWORKS)]
    encoder: str | None
    encoder_revision: str | None
    encoder_lr: Positive
    source_size: Size | None
    target_size: Size | None
    crop: Size | None
    max_class_share: PositiveShare
    iterations: Count
    batch: Annotated[int, Field(ge=2)]
    lr: Positive
    weight_decay: NonNegative
    no_decay: NoDecay
    warmup: Annotated[int, Field(ge=0)]
    ema: Share
    ema_at: EmaAt
    teacher_norm: TeacherNorm
    pseudo_threshold: Share
    quality_per: Per
    classes_of: Per
    margin: Margin
    margin_of: Literal["crop", "image"]
    jitter_probability: Share
    jitter: Annotated[float, Field(ge=0.0, le=0.5)]
    blur_probability: Share
    rare_classes: RareClasses
    feature_distance: FeatureDistance
    detail: Detail
    masking: Masking
    paste: Paste


class Params(Sections):
    train: Train
    engine: Engine
