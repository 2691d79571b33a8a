"""What each rule did: counts as text, the scores with their thresholds, and the samples nearest to each threshold."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from stages.clean.rules import Limit, Verdicts, active
from stages.clean.table import Table

Picture = NDArray[np.uint8]
Colour = tuple[int, int, int]
See = Callable[[str], tuple[Picture, Picture]]  # uid -> image (H, W, 3), mask (H, W) 0 or 255

TILE, LINE, GAP, SHOWN = 96, 18, 4, 5
INK, GREEN, RED = (40, 40, 40), (0, 120, 60), (180, 30, 30)


def counts(verdicts: Verdicts, values: dict[str, float]) -> str:
    """One line per rule that is on: threshold, how many samples it rejects first, and alone; then the other reasons."""
    lines = [f"{'rule':12} {'threshold':>26} {'first':>7} {'alone':>7}"]
    for rule in active(values):
        first, alone = verdicts.first[rule.code].sum(), verdicts.alone[rule.code].sum()
        lines.append(f"{rule.code:12} {f'{rule.param} {values[rule.param]:g}':>26} {first:7d} {alone:7d}")
    came = {code: count for code, count in verdicts.rejected().items() if code not in verdicts.first}
    lines += [f"{reason:12} {'came with it':>26} {count:7d}" for reason, count in came.items()]
    return "\n".join([*lines, f"kept {verdicts.kept} of {len(verdicts.uids)}"])


def histograms(table: Table, values: dict[str, float]) -> bytes:
    """A PNG: one histogram per limit that is on, the threshold a line, the rejected side shaded."""
    limits = [rule for rule in active(values) if isinstance(rule, Limit)]
    columns = 4
    rows = max(1, -(-len(limits) // columns))
    figure = Figure(figsize=(3.2 * columns, 2.4 * rows))
    axes = figure.subplots(rows, columns, squeeze=False)
    for axis in axes.flat[len(limits) :]:
        axis.axis("off")
    for axis, rule in zip(axes.flat, limits, strict=False):
        score, threshold = measured(table, rule), values[rule.param]
        axis.hist(score[np.isfinite(score)], bins=40, color="0.55")
        low, high = axis.get_xlim()
        far = max(high, threshold) if rule.reject == "above" else min(low, threshold)
        axis.axvspan(threshold, far, color="tab:red", alpha=0.15)
        axis.axvline(threshold, color="tab:red")
        axis.set_title(f"{rule.code}: {' / '.join(rule.columns[:1])}", fontsize=9)
    figure.tight_layout()
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=90, metadata={"Software": None})
    return buffer.getvalue()


def measured(table: Table, rule: Limit) -> NDArray[np.float64]:
    """(n,) what the rule compares; NaN for a sample without the score."""
    score: NDArray[np.float64] = np.max([table.scores[column] for column in rule.columns], axis=0)
    return score


def nearest(table: Table, rule: Limit, threshold: float, count: int = SHOWN) -> tuple[list[int], list[int]]:
    """The rows nearest to a limit's threshold, nearest first: those that this rule keeps, and those it rejects."""
    score = measured(table, rule)
    rows = np.flatnonzero(np.isfinite(score) & table.measured)
    rejected = rule.rejects(table, threshold, table.measured)
    order = rows[np.argsort(np.abs(score[rows] - threshold), kind="stable")]
    return order[~rejected[order]][:count].tolist(), order[rejected[order]][:count].tolist()


def sheet(table: Table, values: dict[str, float], see: See) -> Picture:
    """A contact sheet (H, W, 3): per limit a line, on the left the kept samples nearest to it, on the right the
    rejected ones; each with its score. `see` gives a sample's image and mask."""
    limits = [rule for rule in active(values) if isinstance(rule, Limit)]
    lines = [(rule, *nearest(table, rule, values[rule.param])) for rule in limits]
    size = (2 * SHOWN * (TILE + GAP) + 4 * GAP, max(1, len(lines)) * (TILE + 2 * LINE + GAP))
    canvas = Image.new("RGB", size, (255, 255, 255))
    for number, (rule, kept, rejected) in enumerate(lines):
        top = number * (TILE + 2 * LINE + GAP)
        _write(
            canvas, (0, top), f"{rule.code}: {rule.columns[0]} {rule.reject} {values[rule.param]:g} is rejected", INK
        )
        score = measured(table, rule)
        for rows, left, colour in ((kept, 0, GREEN), (rejected, SHOWN * (TILE + GAP) + 4 * GAP, RED)):
            _tiles(canvas, (left, top + LINE), [(see(table.uids[row]), score[row]) for row in rows], colour)
    return np.array(canvas)


def _tiles(
    canvas: Image.Image,
    place: tuple[int, int],
    seen: Sequence[tuple[tuple[Picture, Picture], float]],
    colour: Colour,
) -> None:
    for column, ((image, mask), score) in enumerate(seen):
        faded = np.where(mask[..., None] > 0, image, image // 3 + 140).astype(np.uint8)
        left = place[0] + column * (TILE + GAP)
        canvas.paste(Image.fromarray(faded).resize((TILE, TILE), Image.Resampling.NEAREST), (left, place[1]))
        _write(canvas, (left, place[1] + TILE), f"{score:.4g}", colour)


def _write(canvas: Image.Image, place: tuple[int, int], text: str, colour: Colour) -> None:
    ImageDraw.Draw(canvas).text(place, text, fill=colour, font=ImageFont.load_default(12))
