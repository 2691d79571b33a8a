"""What SAM cuts out, of pages with one object and with several."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from stages.miniature.book import Book
from stages.miniature.sam import point_prompts
from stages.parts.masks.points import cross, inside
from stages.parts.masks.sam_prompts import box_alone, on_object
from stages.parts.pretrained.sam import Sam

PAGES = 300  # held-out pages of each kind


def iou(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    """Intersection over union of two (H, W) masks; 0 when both are empty."""
    union = np.logical_or(a, b).sum()
    return float(np.logical_and(a, b).sum() / union) if union else 0.0


def sam_iou(sam: Sam, book: Book) -> dict[str, float]:
    """Mean IoU of the mask that SAM trusts most, by kind of prompt, the prompt taken from the true mask."""
    rng, found = np.random.default_rng(0), {"cross": [], "points": []}  # type: ignore[var-annotated]
    for k in tqdm(range(PAGES), desc="cutting out", unit="page"):
        image, truth = book.images[k], book.masks[k] > 0
        for style, points in (("cross", cross(truth)), ("points", point_prompts(truth, rng, 3))):
            answer = sam.ask(sam.encode([image])[0], on_object(points.astype(np.float64)))
            found[style].append(iou(answer.masks[answer.trusted()], truth))
    return {style: round(float(np.mean(ious)), 4) for style, ious in found.items()}


def sam_among_others(sam: Sam, groups: Book) -> dict[str, float]:
    """Of every object of held-out pages with several: mean IoU from a cross and from a box on what is seen of it; mean
    IoU from one point deep inside of it; and how often that point's mask is nearer to it than to any other object.

    The cross is the line's own, about the middle of the box: where another object stands there, it lies on that."""
    found: dict[str, list[float]] = {"cross": [], "box": [], "point": [], "point_gives_its_own": []}
    for k in tqdm(range(min(PAGES, len(groups))), desc="cutting out of groups", unit="page"):
        encoded = sam.encode([groups.images[k]])[0]
        instances = np.array(groups.masks[k])
        truths = [instances == number for number in range(1, instances.max() + 1)]
        for own, truth in enumerate(truths):
            asked = {"cross": on_object(cross(truth)), "box": box_alone(truth), "point": on_object(inside(truth, 1))}
            for style, prompt in asked.items():
                answer = sam.ask(encoded, prompt)
                mask = answer.masks[answer.trusted()]
                found[style].append(iou(mask, truth))
                if style == "point":
                    found["point_gives_its_own"].append(int(np.argmax([iou(mask, each) for each in truths])) == own)
    return {name: round(float(np.mean(values)), 4) for name, values in found.items()}
