"""The cleaner's rules: each compares one column of the score table with one param.

The first that fails gives the reason. The first four are UCG's published ones; the rest guard what those
let through: specks, masks that SAM doubts, masks that left their seed, and objects of another class.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

# The numbers of one sample: by column, or none of them when the sample came with a reason.
Scores = Mapping[str, float]
Thresholds = Mapping[str, float]


@dataclass(frozen=True)
class Rule:
    """Reject, for the reason `code`, when `column` is above (below) `param`; equal to it is kept."""

    code: str
    column: str
    reject: Literal["above", "below"]
    param: str

    def rejects(self, scores: Scores, thresholds: Thresholds) -> bool:
        value, threshold = scores[self.column], thresholds[self.param]
        return value > threshold if self.reject == "above" else value < threshold


# In the order of the published cleaner, then ours from the cheapest to explain to the dearest.
RULES = (
    Rule("large", "area", "above", "max_area"),
    Rule("low", "lower_half", "above", "max_lower_half"),
    Rule("uneven", "smoothness", "below", "min_smoothness"),
    Rule("ragged", "energy", "above", "max_energy"),
    Rule("small", "area", "below", "min_area"),
    Rule("doubted", "predicted_iou", "below", "min_predicted_iou"),
    Rule("strayed", "agreement", "below", "min_agreement"),
    Rule("other_class", "class_score", "below", "min_class_score"),
)


@dataclass(frozen=True)
class Verdict:
    """One sample: `reason` is empty when it is kept; `alone` names every rule that rejects it by itself."""

    uid: str
    reason: str
    alone: tuple[str, ...] = ()


def judge(uid: str, reason: str, scores: Scores, thresholds: Thresholds, rules: Sequence[Rule] = RULES) -> Verdict:
    """A sample that came with a reason keeps it, unmeasured; any other gets the first failing rule's code."""
    if reason:
        return Verdict(uid, reason)
    alone = tuple(rule.code for rule in rules if rule.rejects(scores, thresholds))
    return Verdict(uid, alone[0] if alone else "", alone)


def count_first(verdicts: Iterable[Verdict], rules: Sequence[Rule] = RULES) -> dict[str, int]:
    """Rejected samples by reason: every rule in order, 0 too, then the reasons that samples came with."""
    counts = Counter(verdict.reason for verdict in verdicts if verdict.reason)
    codes = [rule.code for rule in rules]
    return {code: counts[code] for code in [*codes, *sorted(counts.keys() - set(codes))]}


def count_alone(verdicts: Iterable[Verdict], rules: Sequence[Rule] = RULES) -> dict[str, int]:
    """For every rule, how many samples it would reject if it were the only one."""
    counts = Counter(code for verdict in verdicts for code in verdict.alone)
    return {rule.code: counts[rule.code] for rule in rules}
