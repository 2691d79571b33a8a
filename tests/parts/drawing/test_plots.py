"""The templates of `dvc plots show` fit the tables that report writes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from dvc_render.vega import VegaRenderer

from stages.parts.drawing import tables

TEMPLATES = Path(__file__).parents[3] / ".dvc/plots"
NAMES = ["road", "bus"]
RUN = {"classes": NAMES, "confusion": [[9, 1], [5, 5]], "IoU": {"road": 60.0, "bus": 45.45}} | dict.fromkeys(
    tables.MEANS, 50.0
)
IOU = tables.iou_rows({"test": tables.summary({"baseline": [RUN], "grafted": [RUN]})}, ["bus"])
CONFUSION = tables.confusion_rows({"baseline": [RUN], "grafted": [RUN]})
CURVES = [{"recipe": "baseline", "seed": 0, **row} for row in tables.thinned([{"iter": 0.0, "loss": 1.0}])]


def fields(spec: Any) -> set[str]:
    """Every column that a Vega-Lite spec names."""
    if isinstance(spec, list):
        return set().union(*map(fields, spec))
    if not isinstance(spec, dict):
        return set()
    own = {spec["field"]} if isinstance(spec.get("field"), str) else set()
    return own.union(*(fields(value) for key, value in spec.items() if key != "data"))


@pytest.mark.parametrize(
    ("template", "rows", "x", "y"),
    [
        ("iou_by_recipe", IOU, "IoU", "class"),
        ("confusion_by_recipe", CONFUSION, "predicted", "actual"),
        ("curves_by_recipe", CURVES, "iter", "loss"),
    ],
)
def test_a_template_names_columns_that_its_table_has(template: str, rows: list[tables.Row], x: str, y: str) -> None:
    points = [{**row, "rev": "workspace", "filename": "a.csv", "field": y} for row in rows]
    renderer = VegaRenderer(points, "plot", template=template, template_dir=str(TEMPLATES), x=x, y=y)
    spec = json.loads(renderer.partial_html())
    assert spec["data"]["values"] == points
    assert fields(spec) <= {*rows[0], "rev"} and {x, y} <= fields(spec)
    assert "<DVC_METRIC" not in json.dumps(spec)
