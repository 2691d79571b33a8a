"""What the stage reads of params.yaml."""

from __future__ import annotations

from stages.parts.sections import Absent, Classes, Recipes, Sections, Seeds


class Evaluate(Sections):
    """The one value of that section that a table tells about."""

    absent: Absent


class Params(Sections):
    classes: Classes
    recipes: Recipes
    seeds: Seeds
    evaluate: Evaluate
