"""What the stage reads of params.yaml."""

from __future__ import annotations

from typing import Literal

from stages.parts.sections import Classes, Recipes, Sections, Seeds


class Evaluate(Sections):
    """The one value of that section that a table tells about."""

    absent: Literal["skip", "mmseg"]


class Params(Sections):
    classes: Classes
    recipes: Recipes
    seeds: Seeds
    evaluate: Evaluate
