"""What the line reads of params.yaml: the section `dataset_diffusion`, a part of it for each stage."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, Field, ValidationError, model_validator

from stages.parts.datasets.label_spaces import LABEL_SPACES
from stages.parts.engine.params import Engine
from stages.parts.errors import GraftError
from stages.parts.learning.switches import NoDecay
from stages.parts.masks.params import Crf
from stages.parts.masks.sam_prompts import STYLES
from stages.parts.sections import (
    FILE,
    Count,
    NonNegative,
    Number,
    Positive,
    Section,
    Sections,
    Seed,
    Seeds,
    Share,
    Side,
    Size,
    one_of,
    plain,
    unlike,
)
from stages.parts.segmenter.further_names import FURTHER

# What the model reads: the class words, the caption, both; or a text of its own for each object that a caption names.
Prompt = Literal["classes", "caption", "caption_classes", "one_by_one"]
Inner = Annotated[float, Field(gt=0.0, lt=1.0)]
Powers = Annotated[list[Number], Field(min_length=1), AfterValidator(unlike)]
Pair = Annotated[list[Positive], Field(min_length=2, max_length=2)]


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


class Snap(Section):
    model: str | None
    prompt: Annotated[str, one_of(STYLES)]
    min_agreement: Share


class Presence(Section):
    model: str | None
    min_score: Share


class Masks(Section):
    prompt: Prompt
    power: Number
    threshold: Inner
    uncertain: Inner
    margin: Share
    crf: Crf
    snap: Snap
    presence: Presence

    @model_validator(mode="after")
    def ordered(self) -> Masks:
        if self.uncertain > self.threshold:
            raise ValueError("uncertain must not be above threshold: the band of doubt lies below it")
        return self


class Compose(Section):
    probability: Share
    max_instances: Count
    min_area: Inner
    max_area: Inner
    min_object: Share

    @model_validator(mode="after")
    def ordered(self) -> Compose:
        if self.min_area > self.max_area:
            raise ValueError("min_area must not be above max_area")
        return self


class Train(Section):
    model: Annotated[str, one_of(FURTHER)]
    encoder: str | None
    encoder_revision: str | None
    encoder_lr: NonNegative
    drawn: bool
    real: Share
    rounds: Annotated[int, Field(ge=1, le=2)]
    iterations: Count
    batch: Count
    lr: Positive
    weight_decay: NonNegative
    no_decay: NoDecay
    poly: Positive
    clip: Positive | None
    resize: Pair
    crop: Size
    max_class_share: Share
    photometric: Share
    ema: Annotated[float, Field(ge=0.0, lt=1.0)] | None
    compose: Compose

    @model_validator(mode="after")
    def something(self) -> Train:
        if self.resize[0] > self.resize[1]:
            raise ValueError("resize is [smallest, largest]")
        if self.rounds > 1 and not self.drawn:
            raise ValueError("rounds 2 labels the drawings anew, so drawn must be true")
        return self


class Evaluate(Section):
    batch: Count
    scales: Annotated[list[Positive], Field(min_length=1), AfterValidator(unlike)]
    flip: bool


class Changes(Section):
    """What a variant has otherwise than the sections `masks` and `train`: any of their keys."""

    masks: dict[str, Any]
    train: dict[str, Any]


Part = TypeVar("Part", bound=Section)


class DatasetDiffusion(Section):
    space: Annotated[str, one_of(LABEL_SPACES)]
    photos: str
    model: str
    revision: str | None
    variants: Annotated[list[str], Field(min_length=1), AfterValidator(plain), AfterValidator(unlike)]
    seeds: Seeds
    prompts: Annotated[list[Prompt], Field(min_length=1), AfterValidator(unlike)]
    powers: Powers
    captions: Captions
    generate: Generate
    masks: Masks
    train: Train
    evaluate: Evaluate
    changes: dict[str, Changes]

    @model_validator(mode="after")
    def known_variants(self) -> DatasetDiffusion:
        for name in self.variants:
            if name not in self.changes:
                raise ValueError(f"variants names {name!r}, of which changes says nothing; add `{name}:` there")
        for name in self.changes:
            masks, train = self.masks_of(name), self.train_of(name)
            if not train.drawn and not train.real:
                raise ValueError(f"variant {name} trains on nothing; set train.drawn to true, or train.real above 0")
            if not train.drawn or name not in self.variants:
                continue
            if masks.power not in self.powers:
                raise ValueError(f"variant {name} has the power {masks.power}, which powers lacks; add it there")
            if masks.prompt not in self.prompts:
                raise ValueError(f"variant {name} reads prompts {masks.prompt!r}, which prompts lacks; add it there")
        return self

    def masks_of(self, variant: str) -> Masks:
        """The section `masks` as a variant has it. ValueError for a change that it does not allow."""
        return _changed(self.masks, self.changes[variant].masks, f"changes.{variant}.masks")

    def train_of(self, variant: str) -> Train:
        """The section `train` as a variant has it. ValueError for a change that it does not allow."""
        return _changed(self.train, self.changes[variant].train, f"changes.{variant}.train")

    def check_variant(self, name: str) -> None:
        """GraftError for a variant of which `changes` says nothing."""
        if name not in self.changes:
            raise GraftError(
                f"{FILE} dataset_diffusion.changes: {name!r} is not among {', '.join(self.changes)}; add it there"
            )


class Params(Sections):
    dataset_diffusion: DatasetDiffusion
    engine: Engine


def _changed(section: Part, changes: Mapping[str, Any], where: str) -> Part:
    try:
        return type(section).model_validate(_overlaid(section.model_dump(), changes))
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join([where, *map(str, first["loc"])])
        raise ValueError(f"{key}: {first['msg'].removeprefix('Value error, ')}") from None


def _overlaid(values: dict[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    def merged(key: str, value: Any) -> Any:
        nested = isinstance(value, Mapping) and isinstance(values.get(key), dict)
        return _overlaid(values[key], value) if nested else value

    return values | {key: merged(key, value) for key, value in changes.items()}
