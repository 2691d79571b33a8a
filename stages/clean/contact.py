"""The contact sheet: the samples nearest to each rule's cut, kept and rejected."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont, ImageOps

from stages.clean.explain import judged, named, there
from stages.clean.kinds import Rows, Rule
from stages.clean.params import ORDER
from stages.clean.rules import Verdicts, active, ordered
from stages.clean.table import Table

Picture = NDArray[np.uint8]
Colour = tuple[int, int, int]
See = Callable[[str], tuple[Picture, Picture]]  # uid -> image (H, W, 3), mask (H, W) 0 or 255
Line = tuple[str, list[int], list[int], NDArray[np.float64]]  # words; rows on the left, on the right; (n,) their scores

TILE, TEXT, GAP, SHOWN = 96, 18, 4, 5
HEIGHT = TILE + 3 * TEXT + GAP  # words above, the tiles, uid and score below each
RIGHT = SHOWN * (TILE + GAP) + 4 * GAP
INK, GREEN, RED, WHITE = (40, 40, 40), (0, 120, 60), (180, 30, 30), (255, 255, 255)
LETTERS = 14  # of a uid that fit below a tile


def nearest(table: Table, rule: Rule, threshold: float, rows: Rows, count: int = SHOWN) -> tuple[list[int], list[int]]:
    """Of `rows`, (n,) bool, those nearest to a cut of the rule, nearest first: what it keeps, and what it rejects."""
    score, cuts = rule.compared(table, rows, threshold), rule.cuts(table, threshold, rows)
    if not cuts:
        return [], []
    away = np.min([np.abs(score - cut) for cut, _ in cuts], axis=0)
    scored = np.flatnonzero(np.isfinite(score))
    order, rejected = scored[np.argsort(away[scored], kind="stable")], rule.rejects(table, threshold, rows)
    return order[~rejected[order]][:count].tolist(), order[rejected[order]][:count].tolist()


def lines(table: Table, verdicts: Verdicts, values: dict[str, float], order: str = ORDER) -> list[Line]:
    """What the sheet shows: the nearest of each rule that is on; when none is, the extremes of every score."""
    found = []
    for rule in active(values, order):
        rows, threshold = judged(table, rule, verdicts), values[rule.param]
        sides = " or ".join(f"{side} {cut:g}" for cut, side in rule.cuts(table, threshold, rows))
        words = f"{rule.code}: {named(rule.columns)} {sides} is rejected" if sides else f"{rule.code} rejects nothing"
        found.append((words, *nearest(table, rule, threshold, rows), rule.compared(table, rows, threshold)))
    return found or extremes(table, order)


def extremes(table: Table, order: str) -> list[Line]:
    """The lowest and the highest of each score that some rule looks at and some sample has."""
    found = {}
    for rule in ordered(order):
        score = rule.compared(table, table.measured) if there(table, rule) else np.full(len(table.uids), np.nan)
        rows = np.flatnonzero(np.isfinite(score))
        if rows.size and rule.columns not in found:
            ranked = rows[np.argsort(score[rows], kind="stable")]
            low, high = ranked[:SHOWN].tolist(), ranked[::-1][:SHOWN].tolist()
            found[rule.columns] = (f"{named(rule.columns)}: lowest and highest; no rule is on", low, high, score)
    return list(found.values())


def sheet(table: Table, verdicts: Verdicts, values: dict[str, float], see: See, order: str = ORDER) -> Picture:
    """(H, W, 3): a line per rule that is on, on the left the kept samples nearest to its cut, on the right the rejected
    ones; each with its uid and score. `see` gives a sample's image and mask."""
    shown = lines(table, verdicts, values, order)
    colours = (GREEN, RED) if values else (INK, INK)
    canvas = Image.new("RGB", (RIGHT + SHOWN * (TILE + GAP), max(1, len(shown)) * HEIGHT), WHITE)
    for number, (words, left, right, score) in enumerate(shown):
        top = number * HEIGHT
        _write(canvas, (0, top), words, INK)
        for rows, start, colour in ((left, 0, colours[0]), (right, RIGHT, colours[1])):
            _tiles(canvas, (start, top + TEXT), [(table.uids[row], score[row]) for row in rows], see, colour)
    return np.array(canvas)


def _tiles(
    canvas: Image.Image, place: tuple[int, int], samples: Sequence[tuple[str, float]], see: See, colour: Colour
) -> None:
    """The images, faded outside of their masks; one that is not square keeps its shape."""
    for column, (uid, score) in enumerate(samples):
        image, mask = see(uid)
        faded = Image.fromarray(np.where(mask[..., None] > 0, image, image // 3 + 140).astype(np.uint8))
        left, top = place[0] + column * (TILE + GAP), place[1]
        fitted = ImageOps.contain(faded, (TILE, TILE), Image.Resampling.NEAREST)
        canvas.paste(fitted, (left + (TILE - fitted.width) // 2, top + (TILE - fitted.height) // 2))
        _write(canvas, (left, top + TILE), uid if len(uid) <= LETTERS else f"…{uid[1 - LETTERS :]}", colour)
        _write(canvas, (left, top + TILE + TEXT), f"{score:.4g}", colour)


def _write(canvas: Image.Image, place: tuple[int, int], text: str, colour: Colour) -> None:
    ImageDraw.Draw(canvas).text(place, text, fill=colour, font=ImageFont.load_default(12))
