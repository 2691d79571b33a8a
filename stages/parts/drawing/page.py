"""The page: one HTML file with relative links to the sheets beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from stages.parts.drawing.reasons import MEANINGS


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
