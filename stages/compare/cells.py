"""The trainings of a comparison: what each is called and how its params differ from params.yaml."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from stages.train.methods import METHODS, Name
from stages.train.presets import TRAIN

COMPARED: tuple[Name, ...] = ("source_only", "dacs", "daformer", "mic")
RECIPES = ("baseline", "grafted")


@dataclass(frozen=True)
class Cell:
    """One row of a table, trained once per seed.

    changes: of the section `train`, table by table; most: cutouts of each class that the bank may hold, the first by
    uid (None = all).
    """

    name: str
    recipe: str
    changes: Mapping[str, Any] = field(default_factory=dict)
    most: int | None = None


def methods() -> list[Cell]:
    """Each method without and with cutouts."""
    return [Cell(f"{method}, {recipe}", recipe, {"method": method}) for method in COMPARED for recipe in RECIPES]


def ablation(method: Name, held: int) -> list[Cell]:
    """What pasting does to one method: how often, how many cutouts, which preset, the novel classes' budget.

    held: cutouts of the class that has most of them; levels of as many or more would be the row of ours again.

    The first two rows are those of `methods`, trained once for both: no cutouts, which is p = 0, and ours, which is
    params.yaml's way of pasting with all cutouts.
    """
    base: dict[str, Any] = {"method": method}
    # Rare class sampling pastes what it draws a novel class for, whatever the probability: then p would not be p.
    chance_alone = base | {"rare_classes": {"novel_budget": 0.0}}
    without, ours = (Cell(f"{method}, {recipe}", recipe, base) for recipe in RECIPES)
    often = [
        Cell(f"{method}, p = {p:g}", "grafted", chance_alone | {"paste": {"probability": p}})
        for p in (0.01, 0.05, 0.1, 0.25)
    ]
    many = [Cell(f"{method}, {n} cutouts per class", "grafted", base, most=n) for n in (20, 40, 100) if n < held]
    published = Cell(f"{method}, pasted as ucg", "grafted", base | TRAIN["ucg"])
    as_often = Cell(  # with the budget that ours has: it differs from ours in how it pastes alone
        f"{method}, pasted as ucg, as often as ours",
        "grafted",
        base | {"paste": TRAIN["ucg"]["paste"] | {"per": "image", "probability": 0.75, "max_instances": 2}},
    )
    unbudgeted = Cell(f"{method}, no novel budget", "grafted", base | {"rare_classes": {"novel_budget": None}})
    return [without, ours, *often, *many, published, as_often, *([unbudgeted] if METHODS[method].rare else [])]
