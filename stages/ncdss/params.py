"""What the stages read of params.yaml: the section `ncdss`, a part of it for each stage.

What each value means stands beside it in params.yaml; what it is as published, in stages/ncdss/preset.py.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from stages.parts.datasets.label_spaces import LABEL_SPACES, label_space
from stages.parts.engine.params import Engine
from stages.parts.errors import GraftError
from stages.parts.sections import (
    Count,
    NonNegative,
    Number,
    Pixels,
    Positive,
    Section,
    Sections,
    Seed,
    Seeds,
    Share,
    Size,
    one_of,
    unlike,
)

# What a cell is trained on: clusters as they are, as many as classes (exact) or more; clusters that the cutouts name;
# pasted cutouts alone; both; and two controls, basic trained as long as basic and EUMS together, and true labels.
BASIC = ("exact", "overclustered", "named", "cutouts", "both", "long", "supervised")
EUMS = ("exact", "overclustered", "named", "both")
Basics = Annotated[list[Annotated[str, one_of(BASIC)]], Field(min_length=1), AfterValidator(unlike)]
Eums = Annotated[list[Annotated[str, one_of(EUMS)]], AfterValidator(unlike)]


class Rows(Section):
    basic: Basics
    eums: Eums

    @model_validator(mode="after")
    def started(self) -> Rows:
        if missing := [name for name in self.eums if name not in self.basic]:
            raise ValueError(f"eums {missing[0]} starts from basic {missing[0]}; add it to rows.basic")
        return self


class Data(Section):
    photos: str
    labels: Annotated[str, one_of(LABEL_SPACES)]
    novel: Annotated[list[str], AfterValidator(unlike)]
    fold: str | None
    size: Size | None

    @model_validator(mode="after")
    def known(self) -> Data:
        for name in self.novel:
            try:
                label_space(self.labels).id(name)
            except GraftError as error:
                raise ValueError(f"novel: {error}") from None
        return self


class Network(Section):
    name: Literal["fpn", "unet", "deeplabv3-r50"]
    encoder: str | None
    start: Literal["base", "encoder"]


class Learning(Section):
    batch: Count
    optimiser: Literal["adamw", "sgd"]
    lr: Positive
    encoder_lr: NonNegative
    weight_decay: NonNegative
    clip: NonNegative
    power: NonNegative
    epoch: Count
    milestone: Number | None
    halve: bool
    jitter: Share
    hue: Annotated[float, Field(ge=0.0, le=0.5)]
    degrees: NonNegative
    zoom: Annotated[float, Field(ge=0.0, lt=1.0)]
    border: Annotated[int, Field(ge=0, le=255)]


class Base(Section):
    seed: Seed
    iterations: Count


class Regions(Section):
    saliency: str
    threshold: Share
    tau: Share
    grow: Pixels
    opened: Pixels
    min_area: Share | None
    min_pixels: Annotated[int, Field(ge=0)] | None
    parts: bool
    doubt: bool

    @model_validator(mode="after")
    def one_limit(self) -> Regions:
        if (self.min_area is None) == (self.min_pixels is None):
            raise ValueError("one of min_area, a share of the picture, and min_pixels must be given, the other null")
        return self


class Cluster(Section):
    encoder: str
    look: Literal["isolated", "pooled"]
    dimensions: Count
    whiten: bool
    exact: Count | None
    overclustered: Count
    named: Count
    seed: Seed
    starts: Count


class Paste(Section):
    cutouts: str | None
    probability: Share
    max_instances: Count
    min_area: Annotated[float, Field(gt=0.0, le=1.0)]
    max_area: Annotated[float, Field(gt=0.0, le=1.0)]
    ring: Pixels


class Basic(Section):
    iterations: Count
    long: Count


class Rank(Section):
    share: Share
    quota: bool


class EumsTraining(Section):
    iterations: Count
    start: Literal["basic", "encoder"]
    momentum: Share
    teacher: Literal["eval", "train"]
    eta: Share
    weight: NonNegative
    ramp: Number
    reassign: Count | None
    jitter: Share
    hue: Annotated[float, Field(ge=0.0, le=0.5)]


class Evaluate(Section):
    match_on: Literal["val", "test"]
    batch: Count


class Ncdss(Section):
    preset: Literal["parity", "clean"]
    seeds: Seeds
    rows: Rows
    data: Data
    network: Network
    learning: Learning
    base: Base
    regions: Regions
    cluster: Cluster
    paste: Paste
    basic: Basic
    rank: Rank
    eums: EumsTraining
    evaluate: Evaluate

    @model_validator(mode="after")
    def with_prior(self) -> Ncdss:
        asking = [row for row in self.rows.basic if row in ("named", "cutouts", "both")]
        if self.paste.cutouts is None and asking:
            raise ValueError(f"row {asking[0]} asks cutouts, and paste.cutouts is null; name their folder")
        return self


class Params(Sections):
    ncdss: Ncdss
    engine: Engine
