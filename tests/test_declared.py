"""dvc.yaml declares what the stages read, no more and no less: an edit reruns what it can change."""

import ast
import importlib
import shlex
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from stages.code import entry
from stages.parts.command import name as code_of
from stages.parts.store.fingerprint import file_of

ROOT = Path(__file__).parents[1]
CELL = "${item.recipe}-${item.seed}"
# What a stage reads beside code. A stage that opens another path must come here, and into dvc.yaml.
READS = {
    "scenes": set(),
    "photos": set(),
    "generate": {"${generate.source}/${item.class}.yaml", "models/miniature/diffusion"},
    "refine": {"data/generated/${item.class}", "models/miniature/clip", "models/miniature/sam"},
    "clean": {"data/refined/${item.class}/scores.csv"},
    "cutouts": {"data/cleaned", "data/refined"},
    "train": {
        "data/cutouts/${item.recipe}", "data/scenes/source", "data/scenes/target", "models/miniature/encoder",
    },
    "evaluate": {"data/scenes/test", "data/scenes/val", f"models/segmenters/{CELL}.safetensors"},
    "report": {
        "data/cleaned", "data/evaluated", "data/generated", "data/refined", "data/scenes/source", "data/scenes/target",
        "data/scenes/test", "data/trained",
    },
}  # fmt: skip
BY_HAND = {"data/check", "data/explained", "data/.work"}  # of commands that are no stage, and of a running training


def stages_of(line: str) -> dict[str, dict]:
    stages = YAML(typ="safe").load((ROOT / line).read_text())["stages"]
    return {name: stage for name, stage in stages.items() if name != "code"}


def module_of(stage: dict) -> str:
    words = shlex.split(stage["cmd"].removeprefix("cd ../.. && "))
    assert words[:2] == ["python", "-m"], "a stage runs as a module, so that its imports can be followed"
    return entry(words[2])


LINE = stages_of("dvc.yaml")
SMALL_MODELS = stages_of("lines/miniature/dvc.yaml")


@pytest.mark.parametrize("name", LINE)
def test_a_stage_depends_on_its_code_and_on_what_it_reads(name: str) -> None:
    assert set(LINE[name]["deps"]) == {f"metrics/code/{code_of(module_of(LINE[name]))}"} | READS[name]


@pytest.mark.parametrize("name", SMALL_MODELS)
def test_a_stage_of_the_small_models_depends_on_its_code(name: str) -> None:
    own = [dep for dep in SMALL_MODELS[name]["deps"] if not dep.startswith("data/")]
    assert own == [f"code/{code_of(module_of(SMALL_MODELS[name]))}"]


@pytest.mark.parametrize("name", LINE)
def test_a_stage_declares_the_sections_that_its_schema_names(name: str) -> None:
    """A param that is read but not declared would be certified by the lock without ever being looked at."""
    schema = importlib.import_module(f"stages.{name}.params").Params
    cells = {value.strip("${}") for value in LINE[name].get("matrix", {}).values()}  # they pick cells, and are no param
    declared = {param.partition(".")[0] for param in LINE[name]["params"]}
    assert declared - cells == schema.model_fields.keys() - cells


@pytest.mark.parametrize("name", LINE)
def test_the_paths_of_the_table_are_those_in_the_stages_code(name: str) -> None:
    """The table itself would go stale: every folder of data that the entry opens by name is in it."""
    opened = {
        word
        for word in texts(module_of(LINE[name]))
        if word.startswith(("data/", "metrics/")) and (ROOT / word).suffix == "" and " " not in word
    }
    outs = {next(iter(out)) if isinstance(out, dict) else out for out in LINE[name].get("outs", [])}
    known = {path.split("/${")[0] for path in READS[name] | outs | {f"metrics/{name}"}}
    strange = {word for word in opened if not any(path.startswith(word.rstrip("/")) for path in known)}
    assert {word.rstrip("/") for word in strange} - BY_HAND == set()


def texts(module: str) -> set[str]:
    """The string literals of a module, docstrings left out; of an f-string what stands before its first value."""
    path = file_of(module)
    assert path is not None
    tree = ast.parse(path.read_text())
    inner = {id(value) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for value in node.values[1:]}
    docs = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    return {
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in inner | docs
    }


def test_no_uncached_out_keeps_a_stage_from_being_saved() -> None:
    """With a plain out that git keeps, DVC saves no run of a stage: a param changed and changed back trains again."""
    for name, stage in LINE.items():
        for out in stage.get("outs", []):
            flags = next(iter(out.values())) if isinstance(out, dict) else {}
            assert "cache" not in flags, f"{name}: {out}"
