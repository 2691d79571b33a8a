"""What the stage reads of params.yaml."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from stages.parts.engine.params import Engine
from stages.parts.recording.sampling import Branch, Way
from stages.parts.sections import Classes, Count, Section, Sections, Seed, Share, Side


class Generate(Section):
    source: str
    model: str
    revision: str | None
    count: Count
    seed: Seed
    steps: Count
    guidance: Annotated[float, Field(ge=1.0)]
    height: Side
    width: Side
    batch: Count
    attribution: Way
    branch: Branch
    self_attention: Share | None
    dtype: Literal["float32", "float16", "bfloat16"]
    attention_slicing: bool
    offload: bool
    compile: bool


class Params(Sections):
    classes: Classes
    generate: Generate
    engine: Engine
