"""What the stage reads of params.yaml."""

from __future__ import annotations

from stages.parts.sections import Classes, Section, Sections, Seed


class Cutouts(Section):
    seed: Seed


class Params(Sections):
    classes: Classes
    cutouts: Cutouts
