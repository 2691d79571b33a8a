"""What the stage reads of params.yaml."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from stages.parts.datasets.labels import LABELS
from stages.parts.sections import Classes, Count, NonNegative, Section, Sections, Share, classes_of, one_of

ORDERS = ("stability", "predicted_iou", "class_score", "agreement")  # scores by which max_count knows the best
ORDER = ORDERS[0]


class Rules(Section):
    """A threshold per rule; None: the rule is off, or for one class, it is that of all. To switch a rule off for one
    class, give it a limit that nothing crosses."""

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

    def limits(self, name: str) -> list[dict[str, float | None]]:
        """What is set for all classes, and then for this one."""
        return [self.model_dump(exclude={"order", "classes"}), self.classes.get(name, Rules()).model_dump()]


class Params(Sections):
    classes: Classes
    clean: Clean
