"""Where a picture shows something that is salient and no base class: NCDSS's regions (section 3.2), and ours.

As published: one region for a picture, all that is salient and not confidently a base class. Ours, each an option:
connected parts of it as regions of their own, the base class's doubtful border taken away, specks opened, and what is
salient or base for one side and not for the other ignored instead of called background.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from stages.parts.datasets.labels import IGNORE

Labels = NDArray[np.uint8]
MOST = 254  # regions that a uint8 picture can tell apart


class Found(NamedTuple):
    """label: (H, W) uint8, ŷ_b: 0 background, 1 to B base classes, 255 in doubt. regions: (H, W) uint8, 0 or the number
    of the region, from 1 on; where it is above 0 the label is 0."""

    label: Labels
    regions: Labels


class Rule(NamedTuple):
    """tau: base classes count above this probability. grow: pixels by which the confident base classes are grown before
    they are taken away. opened: radius in pixels of what is opened away. min_pixels: a region must have more. parts:
    each connected part is a region by itself. doubt: what is left over is ignored, else background."""

    tau: float = 0.9
    grow: int = 0
    opened: int = 0
    min_pixels: float = 1500.0
    parts: bool = False
    doubt: bool = False


def base_prediction(probabilities: NDArray[np.floating], tau: float) -> Labels:
    """ŷ_b (H, W) uint8 of class probabilities (1 + B, H, W): the best class where it is above tau, else 0 [2.3.1]."""
    best = probabilities.argmax(axis=0).astype(np.uint8)
    return np.where(probabilities.max(axis=0) > tau, best, np.uint8(0))


def novel_mask(salient: NDArray[np.bool_], base: Labels) -> NDArray[np.bool_]:
    """m_n (H, W): salient and no confident base class [2.3.2]. Confident background takes nothing away."""
    return salient & (base == 0)


def find_regions(probabilities: NDArray[np.floating], salient: NDArray[np.bool_], rule: Rule) -> Found:
    """The base model's (1 + B, H, W) probabilities and an (H, W) saliency mask -> label and regions of the picture.

    With a rule's defaults it is the published m_n: all of it is region 1, if it has more than min_pixels. At most 254
    regions, the first by rows. No salient pixel: no region."""
    base = base_prediction(probabilities, rule.tau)
    mask = novel_mask(salient, grown(base, rule.grow))
    if rule.opened:
        mask = cv2.morphologyEx(mask.view(np.uint8), cv2.MORPH_OPEN, _disc(rule.opened)).astype(np.bool_)
    numbers = connected(mask) if rule.parts else mask.astype(np.int32)
    areas = np.bincount(numbers.ravel())
    kept = [k for k in range(1, len(areas)) if areas[k] > rule.min_pixels][:MOST]
    renumbered = np.zeros(len(areas), np.uint8)
    renumbered[kept] = np.arange(1, len(kept) + 1)
    regions = renumbered[numbers]
    label = np.where(regions > 0, np.uint8(0), base)
    if rule.doubt:
        some_base = probabilities[1:].sum(axis=0) > probabilities[0]
        unsettled = (salient | some_base) & (label == 0) & (regions == 0)
        label = np.where(unsettled, np.uint8(IGNORE), label)
    return Found(label, regions)


def grown(base: Labels, pixels: int) -> Labels:
    """(H, W) with every base class grown by `pixels` into background, the higher id first; 0 leaves it as it is."""
    if not pixels:
        return base
    return np.where(base > 0, base, cv2.dilate(base, _disc(pixels)))


def connected(mask: NDArray[np.bool_]) -> NDArray[np.int32]:
    """(H, W) bool -> (H, W) int32: 0, or the number of the 8-connected part, from 1 on, by rows."""
    return np.asarray(cv2.connectedComponents(mask.view(np.uint8), connectivity=8)[1], dtype=np.int32)


def pseudo_label(found: Found, classes: dict[int, int]) -> Labels:
    """ŷ (H, W) uint8: the base class where there is one, else the class of the region's cluster, else 0 [2.3.7].

    classes: number of a region -> id, in 1 to 254; a region that it lacks is ignored (255)."""
    table = np.full(256, IGNORE, np.uint8)
    table[0] = 0
    for region, class_id in classes.items():
        table[region] = class_id
    return np.where(found.regions > 0, table[found.regions], found.label)


def _disc(radius: int) -> NDArray[np.uint8]:
    return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1)).astype(np.uint8)
