"""What the stage reads of params.yaml."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from stages.parts.sections import Count, Section, Sections, Seed


class Photos(Section):
    train: Count
    val: Count
    test: Count
    side: Annotated[int, Field(ge=32, le=512)]
    seed: Seed


class Params(Sections):
    photos: Photos
