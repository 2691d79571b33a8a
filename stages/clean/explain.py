"""What each rule did, in words and as histograms: every score, with the cuts of the rules that are on.

contact.py shows the samples nearest to each cut.
"""

from __future__ import annotations

import io
import textwrap
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from stages.clean.kinds import Limit, Rows, Rule, Side
from stages.clean.params import ORDER
from stages.clean.rules import Verdicts, active, ordered
from stages.clean.table import HASH, Table

COLUMNS, BINS = 4, 40
FAR = 0.5  # a cut farther from the scores than this share of their range is told and not drawn
LEGEND = "first: rejected by this rule in its turn; alone: would be rejected if it were the only rule"


def counts(verdicts: Verdicts, values: dict[str, float]) -> str:
    """One line per rule that is on: threshold, how many samples it rejects first, and alone; then the other reasons."""
    lines = [f"{'rule':12} {'threshold':>26} {'first':>7} {'alone':>7}"]
    for rule in active(values):
        first, alone = verdicts.first[rule.code].sum(), verdicts.alone[rule.code].sum()
        lines.append(f"{rule.code:12} {f'{rule.param} {values[rule.param]:g}':>26} {first:7d} {alone:7d}")
    came = {code: count for code, count in verdicts.rejected().items() if code not in verdicts.first}
    lines += [f"{reason:12} {'came with it':>26} {count:7d}" for reason, count in came.items()]
    return "\n".join([*lines, LEGEND, f"kept {verdicts.kept} of {len(verdicts.uids)}"])


def named(columns: Sequence[str]) -> str:
    """What a rule compares, in words."""
    if columns == (HASH,):
        return f"{HASH}, bits from the nearest before"
    return columns[0] if len(columns) == 1 else f"largest of {', '.join(columns)}"


def there(table: Table, rule: Rule) -> bool:
    """Whether the table was read with what the rule compares."""
    return all(column in table.scores or column == HASH for column in rule.columns)


def judged(table: Table, rule: Rule, verdicts: Verdicts) -> Rows:
    """(n,) the rows on which a rule is explained: a limit on all that were measured, for it looks at each alone; a rule
    that compares samples on those that came to it in its turn."""
    return table.measured if isinstance(rule, Limit) or rule.code not in verdicts.turn else verdicts.turn[rule.code]


def histograms(table: Table, verdicts: Verdicts, values: dict[str, float], order: str = ORDER) -> bytes:
    """The figure as a PNG."""
    buffer = io.BytesIO()
    figure(table, verdicts, values, order).savefig(buffer, format="png", dpi=90, metadata={"Software": None})
    return buffer.getvalue()


def figure(table: Table, verdicts: Verdicts, values: dict[str, float], order: str = ORDER) -> Figure:
    """One histogram per score of the table, those that some rule looks at first; each cut of the rules that are on is a
    line, the rejected side shaded."""
    panels: dict[tuple[str, ...], list[Rule]] = {}
    for rule in ordered(order):
        if there(table, rule):
            panels.setdefault(rule.columns, []).append(rule)
    seen = {column for columns in panels for column in columns}
    panels |= {(column,): [] for column in table.scores if column not in seen}
    rows = max(1, -(-len(panels) // COLUMNS))
    drawn = Figure(figsize=(3.2 * COLUMNS, 2.4 * rows))
    axes = drawn.subplots(rows, COLUMNS, squeeze=False).flat
    for axis in axes[len(panels) :]:
        axis.axis("off")
    for axis, (columns, rules) in zip(axes, panels.items(), strict=False):
        on = [rule for rule in rules if rule.param in values]
        if rules:
            score = rules[0].compared(table, judged(table, rules[0], verdicts), values.get(rules[0].param))
        else:
            score = table.scores[columns[0]][table.measured]
        cuts = [c for rule in on for c in rule.cuts(table, values[rule.param], judged(table, rule, verdicts))]
        panel(axis, score[np.isfinite(score)], cuts)
        title = named(columns) + (f" ({', '.join(rule.code for rule in on)})" if on else "")
        axis.set_title(textwrap.fill(title, 40), fontsize=8)
    drawn.tight_layout()
    return drawn


def panel(axis: Axes, score: NDArray[np.float64], cuts: Sequence[tuple[float, Side]]) -> None:
    """The histogram of some finite scores. The axis keeps to them; a cut far outside is written at its edge."""
    if not score.size:
        axis.text(0.5, 0.5, "not measured", ha="center", va="center", transform=axis.transAxes)
        return
    axis.hist(score, bins=BINS, color="0.55")
    span = float(np.ptp(score)) or 1.0
    low, high = float(score.min()) - FAR * span, float(score.max()) + FAR * span
    near = [cut for cut, _ in cuts if low <= cut <= high]
    left, right = axis.get_xlim()
    left, right = min([left, *(cut - 0.02 * span for cut in near)]), max([right, *(cut + 0.02 * span for cut in near)])
    for number, (cut, side) in enumerate(cuts):
        if cut in near:
            axis.axvline(cut, color="tab:red")
        else:
            place, words = (0.98, "right") if cut > high else (0.02, "left")
            told = f"cut at {cut:g} →" if cut > high else f"← cut at {cut:g}"
            height = 0.95 - 0.1 * number
            axis.text(place, height, told, ha=words, va="top", color="tab:red", fontsize=8, transform=axis.transAxes)
        start, end = (max(cut, left), right) if side == "above" else (left, min(cut, right))
        if start < end:
            axis.axvspan(start, end, color="tab:red", alpha=0.15)
    axis.set_xlim(left, right)
