"""Seed mask -> what SAM is asked: points, a box, or both; params `refine.prompt` names the style."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stages.parts.masks.points import Points, Seed, box, cross, inside, outside


@dataclass(frozen=True)
class Prompt:
    """points: (n, 2) float64 (x, y) in pixels, n may be 0; labels: (n,) 1 = object, 0 = background; box: None or
    (4,) float64 left, top, right, bottom. At least one point or a box."""

    points: Points
    labels: NDArray[np.int64]
    box: NDArray[np.float64] | None = None


def on_object(points: Points) -> Prompt:
    """Foreground points alone, as UCG asks."""
    return Prompt(points, np.ones(len(points), dtype=np.int64))


def box_alone(seed: Seed) -> Prompt:
    return Prompt(np.zeros((0, 2)), np.zeros(0, dtype=np.int64), box(seed))


def box_and_points(seed: Seed) -> Prompt:
    points = inside(seed)
    return Prompt(points, np.ones(len(points), dtype=np.int64), box(seed))


STYLES: dict[str, Callable[[Seed], Prompt]] = {
    "cross": lambda seed: on_object(cross(seed)),
    "inside": lambda seed: on_object(inside(seed)),
    "box": box_alone,
    "box+points": box_and_points,
}


def prompt(seed: Seed, style: str, negatives: int = 0) -> Prompt:
    """The prompt of one of the STYLES for an (H, W) bool seed, and up to `negatives` background points after its
    own. ValueError for an empty seed."""
    asked = STYLES[style](seed)
    away = outside(seed, negatives)
    labels = np.concatenate([asked.labels, np.zeros(len(away), dtype=np.int64)])
    return Prompt(np.concatenate([asked.points, away]), labels, asked.box)
