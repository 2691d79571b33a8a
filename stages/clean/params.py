"""What the stage reads of params.yaml."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from stages.parts.datasets.labels import LABELS
from stages.parts.sections import Classes, Count, NonNegative, Section, Sections, Share, classes_of, one_of

ORDERS = ("stability", "predicted_iou", "class_score", "agreement")  # scores by which max_count knows the best
ORDER = ORDERS[0]


class Rules(Section):
    """A threshold per rule; None: the rule is off. Of one class: what is not named is as for all classes."""

    max_area: Share | None = None
    max_lower_half: Share | None = None
    min_smoothness: NonNegative | None = None
    max_energy: NonNegative | None = None
    min_area: Share | None = None
    max_turning: NonNegative | None = None
    max_components: Count | None = None
    min_largest_share: Share | None = None
    max_border: Share | None = None
    min_predicted_iou: Share | None = None
    min_stability: Share | None = None
    min_agreement: Share | None = None
    min_map_agreement: Share | None = None
    min_class_score: Share | None = None
    min_class_margin: Annotated[float, Field(ge=-1.0, le=1.0)] | None = None
    area_tails: Annotated[float, Field(ge=0.0, lt=0.5)] | None = None
    min_distance: Annotated[int, Field(ge=0, le=64)] | None = None
    keep_certain: Share | None = None
    max_count: Count | None = None


class Clean(Rules):
    order: Annotated[str, one_of(ORDERS)]
    classes: Annotated[dict[str, Rules], classes_of(LABELS)]

    @model_validator(mode="after")
    def whole(self) -> Clean:
        if missing := [param for param in Rules.model_fields if param not in self.model_fields_set]:
            raise ValueError(f"key {missing[0]} is missing; without a value the rule is off")
        return self

    def thresholds(self, name: str) -> dict[str, float]:
        """param -> threshold of the rules that are on for a class: its own values, and those of all classes."""
        own = self.classes.get(name, Rules()).model_dump(exclude_unset=True)
        given = self.model_dump(include=set(Rules.model_fields)) | own
        return {param: value for param, value in given.items() if value is not None}


class Params(Sections):
    classes: Classes
    clean: Clean
