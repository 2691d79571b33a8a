"""Does a drawing show both of the two things that were asked for? Looked at by saliency, SAM and CLIP.

Points are strewn over what stands out, SAM says which object each lies on, and CLIP names each object, cut out on grey.
How far this look can be trusted is measured too, on held-out pages, whose objects are known.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from tqdm import tqdm

from stages.miniature.book import SEPARATOR, Book
from stages.parts.masks.sam_prompts import on_object
from stages.parts.pretrained.clip import Clip, isolate
from stages.parts.pretrained.saliency import load_saliency
from stages.parts.pretrained.sam import Sam
from stages.parts.world.backdrops import PLACES
from stages.parts.world.objects import SUBTYPES
from stages.release.cutting import iou
from stages.release.drawing import KINDS, Params, drawn

PROMPTS = 128
FIRST_SEED = 2 * 10**6  # of drawings that no line makes
STEP = 6  # pixels between points
SALIENT, TRUSTED, SURE = 0.5, 0.7, 0.5  # of saliency, of SAM's opinion of its mask, of the scorer's probability
SMALLEST, SAME = 0.015, 0.6  # area of an object as a share of the picture; IoU from which on two masks are one object
SHOWN, COLUMNS = 64, 8  # of the contact sheet

Drawing = tuple[NDArray[np.uint8], tuple[str, str]]
Look = Callable[[NDArray[np.uint8]], set[str]]


class Detector:
    """The classes that a picture shows."""

    def __init__(self, saliency: Path, sam: Path, clip: Clip) -> None:
        self.saliency, self.sam, self.clip = load_saliency(saliency), Sam(sam), clip

    def __call__(self, image: NDArray[np.uint8]) -> set[str]:
        """(H, W, 3) uint8 RGB -> names among the six classes."""
        said = [self.clip(isolate(image, mask)) for mask in self.objects(image)]
        return {KINDS[int(np.argmax(found))] for found in said if found.max() >= SURE}

    def objects(self, image: NDArray[np.uint8]) -> list[NDArray[np.bool_]]:
        """Masks (H, W) of different objects, the surest first."""
        out = self.saliency(image) >= SALIENT
        encoded, found = self.sam.encode([image])[0], []
        for y in range(STEP // 2, image.shape[0], STEP):
            for x in range(STEP // 2, image.shape[1], STEP):
                if out[y, x]:
                    answer = self.sam.ask(encoded, on_object(np.array([[x, y]], np.float64)))
                    best = answer.trusted()
                    found.append((float(answer.predicted_iou[best]), answer.masks[best]))
        kept: list[NDArray[np.bool_]] = []
        for quality, mask in sorted(found, key=lambda each: -each[0]):
            if quality >= TRUSTED and mask.mean() >= SMALLEST and all(iou(mask, other) < SAME for other in kept):
                kept.append(mask)
        return kept


def drawings(pipe: Any, params: Params) -> list[Drawing]:
    """PROMPTS drawings of two things of different classes, and the classes that were asked for."""
    rng, asked, texts = np.random.default_rng(0), [], []
    for _ in range(PROMPTS):
        first, second = (KINDS[k] for k in rng.choice(len(KINDS), 2, replace=False))
        a, b = (SUBTYPES[kind][int(rng.integers(len(SUBTYPES[kind])))] for kind in (first, second))
        texts.append(f"a photo of a {a} and a {b} {PLACES[int(rng.integers(len(PLACES)))]}, color")
        asked.append((first, second))
    return list(zip(drawn(pipe, texts, FIRST_SEED, params), asked, strict=True))


def both_shown(look: Look, pictures: list[Drawing]) -> dict[str, float]:
    """Share of the drawings that show both classes, at least one of them, and a class that was not asked for."""
    seen = [(look(image), set(asked)) for image, asked in tqdm(pictures, desc="looking for two", unit="drawing")]
    return {
        "both": round(float(np.mean([found >= asked for found, asked in seen])), 4),
        "one": round(float(np.mean([bool(found & asked) for found, asked in seen])), 4),
        "other": round(float(np.mean([bool(found - asked) for found, asked in seen])), 4),
    }


def check(look: Look, groups: Book) -> dict[str, float]:
    """The same shares of held-out pages with two objects of different classes: what the look itself can see."""
    known: list[Drawing] = []
    for k, row in enumerate(groups.pages):
        kinds = row["kind"].split(SEPARATOR)
        if len(kinds) == len(set(kinds)) == 2 and len(known) < PROMPTS:
            known.append((np.array(groups.images[k]), (kinds[0], kinds[1])))
    return both_shown(look, known)


def sheet(images: list[NDArray[np.uint8]]) -> Image.Image:
    """The first SHOWN images, COLUMNS in a row, twice their size."""
    shown = images[:SHOWN]
    rows = [np.concatenate(shown[k : k + COLUMNS], axis=1) for k in range(0, len(shown), COLUMNS)]
    whole = Image.fromarray(np.concatenate(rows))
    return whole.resize((2 * whole.width, 2 * whole.height), Image.Resampling.NEAREST)
