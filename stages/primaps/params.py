"""What the line reads of params.yaml: the section `primaps`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from stages.parts.datasets.label_spaces import LABEL_SPACES
from stages.parts.engine.params import Engine
from stages.parts.masks.params import Crf
from stages.parts.sections import (
    Count,
    NonNegative,
    Number,
    Positive,
    Section,
    Sections,
    Seeds,
    Share,
    one_of,
    unlike,
)  # fmt: skip

Inner = Annotated[float, Field(gt=0.0, lt=1.0)]


class Folder(Section):
    """Pictures of the user's: see parts/datasets/folders.py, idmaps.py and coarse.py."""

    images: str
    labels: str | None = None
    ids: str | dict[Annotated[int, Field(ge=-1, le=65535)], str] | None = None


class Dataset(Section):
    """learn: what is learned from, its first `pictures`, without a look at a label; val: labelled, to choose on and to
    train the probe on; test: labelled, to report. Each is a folder of shards, or of files. labels: the label space."""

    learn: str | Folder
    val: str | Folder
    test: str | Folder
    pictures: Count | None
    labels: Annotated[str, one_of(LABEL_SPACES)]
    clusters: Annotated[int, Field(ge=2, le=254)]


class Propose(Section):
    pca: Literal["exact", "published"] | Annotated[int, Field(ge=1)]
    threshold: Annotated[float, Field(gt=0.0, le=1.0)]
    centred: bool
    coverage: Share
    most: Annotated[int, Field(ge=1, le=254)]
    median: bool
    least: Number
    confidence: Annotated[float, Field(gt=0.5, lt=1.0)] | None
    crf: Crf
    batch: Count


class Initialise(Section):
    centred: bool
    epochs: Count
    batch: Count
    lr: Positive


class Fit(Section):
    epochs: Count
    batch: Count
    lr: Positive
    decay: Annotated[float, Field(ge=0.0, lt=1.0)]
    every: Count
    gamma: NonNegative
    views: Annotated[int, Field(ge=1)] | None
    flip: Share
    jitter_probability: Share
    jitter: Annotated[float, Field(ge=0.0, le=0.5)]
    grey_probability: Share
    blur_probability: Share
    blur: Annotated[list[NonNegative], Field(min_length=2, max_length=2)]
    checks: Count


class Evaluate(Section):
    flip: bool
    crf: Crf
    probe_epochs: Count
    probe_batch: Count
    probe_lr: Positive


class Discover(Section):
    clip: str
    least: Count
    entropy: Inner
    share: Inner
    clusters: Annotated[int, Field(ge=2)]


class Size(Section):
    shortest: Annotated[int, Field(ge=16)] | None
    square: bool
    multiple: Annotated[int, Field(ge=1, le=64)]


class Primaps(Section):
    sets: Annotated[list[str], Field(min_length=1), AfterValidator(unlike)]
    seeds: Seeds
    datasets: dict[str, Dataset]
    size: Size
    backbone: str
    revision: str | None
    shifts: Annotated[int, Field(ge=1, le=16)]
    propose: Propose
    initialise: Initialise
    fit: Fit
    evaluate: Evaluate
    discover: Discover

    @model_validator(mode="after")
    def described(self) -> Primaps:
        if missing := [name for name in self.sets if name not in self.datasets]:
            raise ValueError(f"sets names {missing[0]!r}, which datasets does not describe")
        return self


class Params(Sections):
    primaps: Primaps
    engine: Engine
