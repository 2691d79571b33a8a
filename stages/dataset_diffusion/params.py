"""What the line reads of params.yaml: the section `dataset_diffusion`, a part of it for each stage."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from stages.parts.engine.params import Engine
from stages.parts.masks.sam_prompts import STYLES
from stages.parts.sections import (
    Count, NonNegative, Number, Positive, Section, Sections, Seed, Seeds, Share, Side, Size, one_of, unlike,
)  # fmt: skip
from stages.parts.datasets.label_spaces import LABEL_SPACES

Prompt = Literal["classes", "caption", "caption_classes"]  # what the model reads: the class words, the caption, both
Inner = Annotated[float, Field(gt=0.0, lt=1.0)]
Powers = Annotated[list[Number], Field(min_length=1), AfterValidator(unlike)]


class Captions(Section):
    source: str
    count: Count


class Generate(Section):
    seed: Seed
    steps: Count
    guidance: Annotated[float, Field(ge=1.0)]
    negative: str
    height: Side
    width: Side
    batch: Count
    per_caption: Count
    self_halvings: Number
    cross_halvings: Number
    dtype: Literal["float32", "float16", "bfloat16"]


class Crf(Section):
    iterations: Number
    bilateral_weight: NonNegative
    bilateral_xy: Positive
    bilateral_rgb: Positive
    gaussian_weight: NonNegative
    gaussian_xy: Positive


class Snap(Section):
    model: str | None
    prompt: Annotated[str, one_of(STYLES)]
    min_agreement: Share


class Masks(Section):
    prompt: Prompt
    power: Number
    threshold: Inner
    uncertain: Inner
    presence: NonNegative
    margin: Share
    crf: Crf
    snap: Snap

    @model_validator(mode="after")
    def ordered(self) -> Masks:
        if self.uncertain > self.threshold:
            raise ValueError("uncertain must not be above threshold: the band of doubt lies below it")
        return self
