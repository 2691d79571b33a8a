"""What the stage reads of params.yaml."""

from __future__ import annotations

from pydantic import model_validator

from stages.parts.engine.params import Engine
from stages.parts.sections import Absent, Classes, Count, Section, Sections, Size, Window


class Evaluate(Section):
    batch: Count
    size: Size | None
    window: Window | None
    stride: Window | None
    flip: bool
    absent: Absent

    @model_validator(mode="after")
    def windows_overlap(self) -> Evaluate:
        if (self.window is None) != (self.stride is None):
            raise ValueError("window and stride are both null (the whole image) or both given")
        if self.window and self.stride and any(s > w for s, w in zip(self.stride, self.window, strict=True)):
            raise ValueError("stride must not be above window, or pixels between two windows are never seen")
        return self


class Params(Sections):
    classes: Classes
    evaluate: Evaluate
    engine: Engine
