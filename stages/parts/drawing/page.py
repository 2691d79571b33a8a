"""The page: one HTML file with relative links to the sheets beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

# What the reason codes mean: the cleaner's, and why a sample never had a mask.
MEANINGS = {
    "large": "the mask covers too much of the image: it has run into the background",
    "low": "too much of the mask lies in the lower half of the image",
    "uneven": "the contour is shorter than that of the opened and closed mask",
    "ragged": "the contour turns too much",
    "small": "the mask covers too little of the image",
    "jagged": "the contour turns too much for its length",
    "scattered": "the mask has too many parts",
    "split": "the largest part of the mask is too small a share of it",
    "cut_off": "the mask touches too much of the image's border",
    "doubted": "SAM predicts a low IoU of its mask",
    "unstable": "the mask changes with SAM's threshold",
    "strayed": "the mask has left the seed mask",
    "off_map": "the mask has left the attribution map",
    "other_class": "CLIP does not see the class in the cutout",
    "rivalled": "CLIP sees another class as well",
    "unusual": "the area is among the smallest or largest of the class",
    "repeated": "the cutout looks like one that was kept before it",
    "uncertain": "a trained segmenter is uncertain about it",
    "surplus": "enough better ones were kept",
    "empty_seed": "no seed mask came of the attribution map",
    "empty_mask": "no mask came of the seed mask",
    "non_finite_image": "the drawing has values that are no numbers",
    "constant_image": "the drawing has one colour only",
    "non_finite_map": "the attribution map has values that are no numbers",
    "flat_map": "the attribution map has no contrast",
}


def page(
    table: Sequence[Sequence[str]],
    val: Sequence[Sequence[str]],
    seeds: Sequence[int],
    absent: Sequence[str],
    counts: Mapping[str, Mapping[str, Any]],
    *,
    means: int,
    zeros: bool,
) -> str:
    """index.html. `table`: header, classes, then `means` lines of means; `val`: those lines on the other split.

    `absent`: the classes without an IoU; `zeros`: whether a class that the truth lacks is 0 once it is predicted.
    `counts`: class -> what the cleaner counted: {"samples", "kept", "rejected": rule -> first to reject, "alone": rule
    -> would reject by itself}."""
    rules = list(dict.fromkeys(rule for count in counts.values() for rule in count["rejected"]))
    environment = Environment(
        loader=PackageLoader("stages.parts.drawing", "."), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True, keep_trailing_newline=True,
    )  # fmt: skip
    return environment.get_template("page.html").render(
        table=table,
        val=val,
        seeds=seeds,
        absent=absent,
        counts=counts,
        rules=rules,
        means=means,
        zeros=zeros,
        meanings=MEANINGS,
    )
