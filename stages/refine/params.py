"""What the stage reads of params.yaml."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from stages.parts.engine.params import Engine
from stages.parts.masks.params import Crf
from stages.parts.masks.sam_prompts import STYLES
from stages.parts.pretrained.promptable import CHOICES
from stages.parts.sections import Classes, Count, Number, Pixels, Section, Sections, one_of

Inner = Annotated[float, Field(gt=0.0, lt=1.0)]


class SelfAttention(Section):
    power: Annotated[int, Field(ge=0, le=64)]
    threshold: Inner
    uncertain: Inner

    @model_validator(mode="after")
    def ordered(self) -> SelfAttention:
        if self.uncertain > self.threshold:
            raise ValueError("uncertain must not be above threshold: the band of doubt lies below it")
        return self


class Primaps(Section):
    encoder: str
    similarity: Inner


# What of the section only the method `sam` reads.
SAM_PARAMS = ("model", "prompt", "negatives", "choose", "views", "snap", "batch")


class Refine(Section):
    method: Literal["attention", "sam", "self_attention", "primaps"]
    threshold: Inner
    crf: Crf
    model: str
    prompt: Annotated[str, one_of(STYLES)]
    negatives: Number
    choose: Annotated[str, one_of(CHOICES)]
    views: Annotated[int, Field(ge=1, le=16)]
    snap: Crf
    self_attention: SelfAttention
    primaps: Primaps
    ring: Pixels
    batch: Count
    clip: str
    segmenter: str | None

    def models(self) -> dict[str, str]:
        """param -> source of each model that the method needs; CLIP scores the masks of all."""
        needed = {"sam": {"model": self.model}, "primaps": {"primaps.encoder": self.primaps.encoder}}
        segmenter = {"segmenter": self.segmenter} if self.segmenter else {}
        return {"clip": self.clip, **needed.get(self.method, {}), **segmenter}


class Params(Sections):
    classes: Classes
    refine: Refine
    engine: Engine
