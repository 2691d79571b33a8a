"""The cleaner's rules, each with a reason code and one param, over the columns of the score table.

The first that fails gives the reason. The first four are UCG's published ones; the rest guard what those let
through: specks, torn and cut-off masks, masks that SAM doubts or that left their seed or map, objects of another class,
repetitions. A score that was not measured (predicted IoU without SAM) is not judged.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from stages.clean.kinds import Best, Limit, Repeats, Rows, Rule, Tails
from stages.clean.params import ORDER
from stages.clean.table import Table

SIDES = ("border_top", "border_bottom", "border_left", "border_right")

# In the order of the published cleaner, then ours: shape, opinion, class, and at the end those that compare samples.
RULES: tuple[Rule, ...] = (
    Limit("large", ("area",), "above", "max_area"),
    Limit("low", ("lower_half",), "above", "max_lower_half"),
    Limit("uneven", ("smoothness",), "below", "min_smoothness"),
    Limit("ragged", ("energy",), "above", "max_energy"),
    Limit("small", ("area",), "below", "min_area"),
    Limit("jagged", ("turning",), "above", "max_turning"),
    Limit("scattered", ("components",), "above", "max_components"),
    Limit("split", ("largest_share",), "below", "min_largest_share"),
    Limit("cut_off", SIDES, "above", "max_border"),
    Limit("doubted", ("predicted_iou",), "below", "min_predicted_iou"),
    Limit("unstable", ("stability",), "below", "min_stability"),
    Limit("strayed", ("agreement",), "below", "min_agreement"),
    Limit("off_map", ("map_agreement",), "below", "min_map_agreement"),
    Limit("other_class", ("class_score",), "below", "min_class_score"),
    Limit("rivalled", ("class_margin",), "below", "min_class_margin"),
    Tails("unusual", "area", "area_tails"),
    Repeats("repeated", "min_distance"),
    Best("uncertain", "entropy", "keep_certain", "lowest", "set refine.segmenter and run refine", share=True),
    Best("surplus", ORDER, "max_count", "highest", "set clean.order to another"),
)


def ordered(order: str) -> list[Rule]:
    """All rules; `order` is the score by which max_count knows the best."""
    return [replace(rule, column=order) if isinstance(rule, Best) and not rule.share else rule for rule in RULES]


def active(values: dict[str, float], order: str = ORDER) -> list[Rule]:
    """The rules that have a threshold, in order."""
    return [rule for rule in ordered(order) if rule.param in values]


@dataclass(frozen=True)
class Verdicts:
    """reasons: "" for each sample that is kept; turn, first and alone: code -> (n,) the rows that come to the rule in
    its turn, those of them that it rejects, and those that it would reject if it were the only one."""

    uids: list[str]
    reasons: list[str]
    turn: dict[str, Rows]
    first: dict[str, Rows]
    alone: dict[str, Rows]

    @property
    def kept(self) -> int:
        return self.reasons.count("")

    def rejected(self) -> dict[str, int]:
        """Rejected samples by reason: every active rule in order, 0 too, then the reasons that samples came with."""
        counts = {code: int(rows.sum()) for code, rows in self.first.items()}
        came = sorted({reason for reason in self.reasons if reason} - counts.keys())
        return counts | {reason: self.reasons.count(reason) for reason in came}


def judge(table: Table, values: dict[str, float], order: str = ORDER) -> Verdicts:
    """A sample that came with a reason keeps it, unmeasured; any other gets the code of the first rule that fails.
    GraftError for a rule that ranks by a score which no sample has."""
    reasons, measured = list(table.reasons), table.measured
    left, turn, first, alone = measured.copy(), {}, {}, {}
    for rule in active(values, order):
        turn[rule.code] = left.copy()
        first[rule.code] = rule.rejects(table, values[rule.param], left)
        alone[rule.code] = rule.rejects(table, values[rule.param], measured)
        left &= ~first[rule.code]
        for row in np.flatnonzero(first[rule.code]):
            reasons[row] = rule.code
    return Verdicts(table.uids, reasons, turn, first, alone)
