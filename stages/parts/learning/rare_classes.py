"""Rare class sampling (DAFormer, section 3.2), with an explicit budget for the novel classes."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from stages.parts.datasets.labels import LabelSpace
from stages.parts.errors import GraftError
from stages.parts.store.samples import Shards, png_array

Counts = Mapping[int, float]  # train id -> pixels


def class_pixels(shards: Shards) -> list[dict[int, int]]:
    """Of each image of a labelled set, in the order of its rows, how many pixels each class has; 255 is none.

    Taken from the index, where the stage scenes puts it; counted where it does not. GraftError without a label.
    """
    return [_counts(row.get("pixels") or _count(shards, row["uid"])) for row in tqdm(shards.rows, delay=2, leave=False)]


def _count(shards: Shards, uid: str) -> Counts:
    files = shards.read(uid)
    if "label.png" not in files:
        raise GraftError(f"{shards.folder}: sample {uid} has no label.png; label it, or take it out")
    return count(png_array(files["label.png"]))


def count(label: np.ndarray) -> dict[int, int]:
    """Label of any shape -> pixels of each class in it; 255 is none."""
    pixels = np.bincount(label.ravel(), minlength=256)[:255]
    return {int(k): int(pixels[k]) for k in pixels.nonzero()[0]}


def _counts(pixels: Mapping) -> dict[int, int]:
    return {int(k): n for k, n in pixels.items() if int(k) != 255}


def class_probabilities(
    pixels: Counts, temperature: float, novel: Collection[int] = (), budget: float | None = None
) -> dict[int, float]:
    """P(c) = exp((1 - f_c) / T) / sum of the same, f_c the class's share of all labelled pixels.

    At T = 0.01 all classes below 0.1 % are nearly equal: K novel classes would take K / (K + ~10) of all draws and
    dilute the rare base classes. With a budget b the base classes share 1 - b by the formula, the novel ones b evenly;
    these have all where there is no base class.
    """
    total = sum(pixels.values())
    if budget is None or not novel:
        return _softmax({c: (1 - n / total) / temperature for c, n in pixels.items()})
    base = _softmax({c: (1 - n / total) / temperature for c, n in pixels.items() if c not in novel})
    if not base:
        return {c: 1 / len(novel) for c in novel}
    return {c: (1 - budget) * p for c, p in base.items()} | {c: budget / len(novel) for c in novel}


def _softmax(values: dict[int, float]) -> dict[int, float]:
    top = max(values.values(), default=0.0)
    weights = {c: float(np.exp(value - top)) for c, value in values.items()}
    return {c: weight / sum(weights.values()) for c, weight in weights.items()}


class Draw(NamedTuple):
    """A source image by its number, and the class for whose sake it was drawn."""

    image: int
    class_id: int


class RareClasses:
    """Draw a class by its probability, then one of the images that have more than `min_pixels` of it.

    counts: pixels of each class per image of the set; labels: what the classes are called; added: what pasting adds to
    an image, in the mean. A novel
    class, of the bank, may be pasted into any image, so each has it. Raises GraftError for a base class that no image
    has enough of, and for a set in which no pixel has a class.
    """

    def __init__(
        self,
        counts: Sequence[Counts],
        labels: LabelSpace,
        temperature: float,
        min_pixels: int,
        added: Mapping[int, float] | None = None,
        novel: Collection[int] = (),
        budget: float | None = None,
    ) -> None:
        total = {c: len(counts) * n for c, n in (added or {}).items()}
        for image in counts:
            for c, n in image.items():
                total[c] = total.get(c, 0) + n
        if not any(total.values()):
            raise GraftError("every pixel of the source's labels is 255: no class; correct the id map of scenes.source")
        probabilities = class_probabilities(total, temperature, novel, budget)
        self.classes, self.probabilities = zip(*sorted(probabilities.items()), strict=True)
        self.images = {c: np.array(list(_having(counts, c, min_pixels, novel))) for c in self.classes}
        for c, images in self.images.items():
            if not len(images):
                raise GraftError(
                    f"no source image has more than {min_pixels} pixels of {labels.names[c]}; "
                    f"lower train.rare_classes.min_pixels in params.yaml"
                )

    def draw(self, rng: np.random.Generator) -> Draw:
        c = int(rng.choice(self.classes, p=self.probabilities))
        return Draw(int(rng.choice(self.images[c])), c)


def _having(counts: Sequence[Counts], c: int, min_pixels: int, novel: Collection[int]) -> Iterator[int]:
    return (k for k, image in enumerate(counts) if c in novel or image.get(c, 0) > min_pixels)
