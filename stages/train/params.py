"""What the stage reads of params.yaml.

What each value means stands beside it in params.yaml, what it is in a published method in stages/train/presets.py.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from stages.parts.engine.params import Engine
from stages.parts.sections import (
    ClassNames,
    Count,
    NonNegative,
    Positive,
    Section,
    Sections,
    Share,
    Size,
    Window,
    one_of,
)
from stages.parts.segmenter.names import NETWORKS
from stages.train.methods import Name

Margin = Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=4, max_length=4)]
PositiveShare = Annotated[float, Field(gt=0.0, le=1.0)]


class Paste(Section):
    probability: Share
    per: Literal["image", "class"]
    max_instances: Count
    scale: Literal["height", "area", "native"]
    min_height: PositiveShare
    max_height: PositiveShare
    min_area: PositiveShare
    max_area: PositiveShare
    place: Literal["ground", "anywhere"]
    flip: Share
    colour: Share
    edge: Literal["hard", "feather", "poisson", "alpha"]
    feather: Positive
    ring: Annotated[int, Field(ge=0)]
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
    method: Name
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
    no_decay: Literal["vectors", "layer_norm"]
    warmup: Annotated[int, Field(ge=0)]
    ema: Share
    ema_at: Literal["start", "end"]
    teacher_norm: Literal["batch", "running"]
    pseudo_threshold: Share
    quality_per: Literal["batch", "image"]
    classes_of: Literal["batch", "image"]
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
