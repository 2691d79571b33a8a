"""Does a drawing show both of the two things that were asked for? Looked at by the examiner.

How far its look can be trusted is measured too, on held-out pages, whose objects are known. Another look was tried:
points over what stands out, SAM's mask of each, CLIP's name for it; it saw both on 35 % of the pages that have two.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from tqdm import tqdm

from stages.miniature.book import SEPARATOR, Book
from stages.parts.world.backdrops import PLACES
from stages.parts.world.objects import SUBTYPES
from stages.release.drawing import KINDS, Params, drawn

PROMPTS = 128
FIRST_SEED = 2 * 10**6  # of drawings that no line makes
SHOWN, COLUMNS = 64, 8  # of the contact sheet

Drawing = tuple[NDArray[np.uint8], tuple[str, str]]
Look = Callable[[NDArray[np.uint8]], set[str]]


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
