"""The schema of the sections `train` and `evaluate` of params.yaml."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from stages.sections import Count, Positive, Section, Seed, Share, Side


class Paste(Section):
    probability: Share
    max_instances: Count
    min_height: Annotated[float, Field(gt=0.0, le=1.0)]
    max_height: Annotated[float, Field(gt=0.0, le=1.0)]
    place: Literal["ground", "ucg"]
    flip: Share

    @model_validator(mode="after")
    def ordered(self) -> Paste:
        if self.min_height > self.max_height:
            raise ValueError("min_height must not be above max_height")
        return self


Recipe = Literal["baseline", "grafted", "blobs", "shuffled"]


class Train(Section):
    recipes: Annotated[list[Recipe], Field(min_length=1)]
    seeds: Annotated[list[Seed], Field(min_length=1)]
    model: Literal["unet", "segformer"]
    encoder: str | None
    encoder_lr: Positive
    iterations: Count
    batch: Annotated[int, Field(ge=2)]
    lr: Positive
    weight_decay: Annotated[float, Field(ge=0.0)]
    warmup: Annotated[int, Field(ge=0)]
    ema: Share
    pseudo_threshold: Share
    jitter_probability: Share
    jitter: Annotated[float, Field(ge=0.0, le=0.5)]
    blur_probability: Share
    paste: Paste


Window = Annotated[list[Annotated[int, Field(ge=32, multiple_of=32)]], Field(min_length=2, max_length=2)]
Size = Annotated[list[Side], Field(min_length=2, max_length=2)]


class Evaluate(Section):
    batch: Count
    size: Size | None
    window: Window | None
    stride: Window | None
    flip: bool
    absent: Literal["skip", "mmseg"]

    @model_validator(mode="after")
    def windows_overlap(self) -> Evaluate:
        if (self.window is None) != (self.stride is None):
            raise ValueError("window and stride are both null (the whole image) or both given")
        if self.window and self.stride and any(s > w for s, w in zip(self.stride, self.window, strict=True)):
            raise ValueError("stride must not be above window, or pixels between two windows are never seen")
        return self
