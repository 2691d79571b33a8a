"""lines/primaps/dvc.yaml declares what the stages read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from stages.code import entry
from stages.primaps.params import Primaps

ROOT = Path(__file__).parents[2]
STAGES: dict[str, Any] = YAML(typ="safe").load((ROOT / "lines/primaps/dvc.yaml").read_text())["stages"]
ANY = {"engine.threads", "primaps.backbone", "primaps.datasets.${item.set}", "primaps.revision", "primaps.shifts"}
PICTURES = {"propose": {"target", "val", "test"}, "initialise": {"target"}, "fit": {"target", "val"}}
PICTURES |= {"evaluate": {"val", "test"}}


def test_the_stages_are_those_of_the_paper() -> None:
    assert list(STAGES) == ["propose", "initialise", "fit", "evaluate", "summary"]
    assert all(stage["wdir"] == "../.." for stage in STAGES.values())


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_depends_on_its_code_and_on_the_pictures_that_it_reads(name: str) -> None:
    stage = STAGES[name]
    module = stage["cmd"].split()[2]
    assert entry(module) == module == f"stages.primaps.{name}"
    assert f"metrics/code/primaps.{name}" in stage["deps"]
    scenes = {dep.removeprefix("data/scenes/") for dep in stage["deps"] if dep.startswith("data/scenes/")}
    assert scenes == PICTURES.get(name, set())
    assert ("models/miniature/vit" in stage["deps"]) == ("data/photos" in stage["deps"]) == bool(scenes)


@pytest.mark.parametrize("name", PICTURES)
def test_a_stage_declares_its_section_and_what_all_read(name: str) -> None:
    own = {f"primaps.{name}"} | ({"primaps.seeds"} if name == "evaluate" else set())
    assert set(STAGES[name]["params"]) == ANY | {"primaps.size"} | own
    known = {f"primaps.{field}" for field in Primaps.model_fields} | {"primaps.datasets.${item.set}", "engine.threads"}
    assert set(STAGES[name]["params"]) <= known


def test_no_uncached_out_keeps_a_stage_from_being_saved() -> None:
    for stage in STAGES.values():
        for out in stage.get("outs", []):
            flags = next(iter(out.values())) if isinstance(out, dict) else {}
            assert "cache" not in flags
