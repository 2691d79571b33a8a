"""What the command reads of params.yaml."""

from __future__ import annotations

from stages.parts.sections import Classes, Sections


class Params(Sections):
    classes: Classes
