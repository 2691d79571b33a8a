"""The cleaner's rules, each with a reason code and one param, over the columns of the score table.

The first that fails gives the reason. The first four are UCG's published ones; the rest guard what those let
through: specks, torn and cut-off masks, masks that SAM doubts or that left their seed, objects of another class,
repetitions. A score that was not measured (predicted IoU without SAM) is not judged.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from stages.clean.table import HASH, Table

Rows = NDArray[np.bool_]


class Rule(Protocol):
    """`code` is the reason it gives, `param` its threshold's name, `columns` what it reads."""

    @property
    def code(self) -> str: ...

    @property
    def param(self) -> str: ...

    @property
    def columns(self) -> tuple[str, ...]: ...

    def rejects(self, table: Table, threshold: float, left: Rows) -> Rows:
        """(n,) the rows of `left`, those that are still in, which this rule rejects."""
        ...


@dataclass(frozen=True)
class Limit:
    """Reject when the largest of the columns is above (below) the threshold; equal to it is kept."""

    code: str
    columns: tuple[str, ...]
    reject: Literal["above", "below"]
    param: str

    def rejects(self, table: Table, threshold: float, left: Rows) -> Rows:
        value = np.max([table.scores[column] for column in self.columns], axis=0)
        return left & (value > threshold if self.reject == "above" else value < threshold)


@dataclass(frozen=True)
class Tails:
    """Reject the share `threshold` of the smallest and of the largest values, as OVAM does with areas (0.05)."""

    code: str
    column: str
    param: str

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.column,)

    def rejects(self, table: Table, threshold: float, left: Rows) -> Rows:
        value = table.scores[self.column]
        if not left.any():
            return left
        low, high = np.nanquantile(value[left], [threshold, 1.0 - threshold])
        return left & ((value < low) | (value > high))


@dataclass(frozen=True)
class Repeats:
    """Reject a sample whose perceptual hash differs in fewer than `threshold` of its 64 bits from one that is kept
    before it, in the order of the uids."""

    code: str
    param: str
    columns: tuple[str, ...] = (HASH,)

    def rejects(self, table: Table, threshold: float, left: Rows) -> Rows:
        repeated = np.zeros_like(left)
        kept = np.empty(len(left), dtype=np.uint64)
        count = 0
        for row in np.flatnonzero(left):
            own = table.hashes[row]
            if count and np.bitwise_count(kept[:count] ^ own).min() < threshold:
                repeated[row] = True
            else:
                kept[count] = own
                count += 1
        return repeated


@dataclass(frozen=True)
class Best:
    """Keep only the best by a column: `threshold` samples, or that share of those that are in. Equals: the first by
    uid. A sample without the score is the last."""

    code: str
    column: str
    best: Literal["highest", "lowest"]
    param: str
    share: bool = False

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.column,)

    def rejects(self, table: Table, threshold: float, left: Rows) -> Rows:
        value = table.scores[self.column]
        cost = np.where(np.isnan(value), np.inf, value if self.best == "lowest" else -value)
        inside = np.flatnonzero(left)
        keep = int(threshold * len(inside)) if self.share else int(threshold)
        beaten = np.zeros_like(left)
        beaten[inside[np.argsort(cost[inside], kind="stable")[keep:]]] = True
        return beaten


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
    Limit("other_class", ("class_score",), "below", "min_class_score"),
    Limit("rivalled", ("class_margin",), "below", "min_class_margin"),
    Tails("unusual", "area", "area_tails"),
    Repeats("repeated", "min_distance"),
    Best("uncertain", "entropy", "lowest", "keep_certain", share=True),
    Best("surplus", "class_score", "highest", "max_count"),
)

# The published script's values, and what we recommend: the scores that tell good masks from bad ones on held-out pages,
# each at about its 5 % quantile there. LOG.md has the measurements, and what each published rule does on real shapes.
PRESETS: dict[str, dict[str, float]] = {
    "none": {},
    "ucg": {"max_area": 0.40, "max_lower_half": 0.85, "min_smoothness": 1.0, "max_energy": 50.0},
    "strict": {
        "max_area": 0.40, "max_energy": 50.0, "min_area": 0.03, "min_predicted_iou": 0.80, "min_stability": 0.60,
        "min_agreement": 0.5, "min_class_score": 0.5,
    },
}  # fmt: skip


def thresholds(preset: str, *changes: dict[str, float | None]) -> dict[str, float]:
    """param -> threshold of the rules that are on: the preset's, then each change that is not None, the last wins."""
    given = {param: value for change in changes for param, value in change.items() if value is not None}
    return PRESETS[preset] | given


def active(values: dict[str, float]) -> list[Rule]:
    """The rules that have a threshold, in order."""
    return [rule for rule in RULES if rule.param in values]


@dataclass(frozen=True)
class Verdicts:
    """reasons: "" for each sample that is kept; first and alone: code -> (n,) the rows that the rule rejects in its
    turn, and those that it would reject if it were the only one."""

    uids: list[str]
    reasons: list[str]
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


def judge(table: Table, values: dict[str, float]) -> Verdicts:
    """A sample that came with a reason keeps it, unmeasured; any other gets the code of the first rule that fails."""
    reasons, measured = list(table.reasons), table.measured
    left, first, alone = measured.copy(), {}, {}
    for rule in active(values):
        first[rule.code] = rule.rejects(table, values[rule.param], left)
        alone[rule.code] = rule.rejects(table, values[rule.param], measured)
        left &= ~first[rule.code]
        for row in np.flatnonzero(first[rule.code]):
            reasons[row] = rule.code
    return Verdicts(table.uids, reasons, first, alone)
