"""dvc.yaml declares what the stages really import, no more and no less: an edited module reruns what it made."""

import ast
import os
import shlex
from pathlib import Path

import pytest
from ruamel.yaml import YAML

ROOT = Path(__file__).parents[1]
LINES = ["dvc.yaml", "stages/fetch/dvc.yaml", "stages/miniature/dvc.yaml"]
MADE = Path("stages/miniature/data")  # outs, no modules


def stage_file(module: str) -> Path | None:
    """The file of a module of ours, relative to the root; None for anybody else's."""
    path = Path(*module.split("."))
    for candidate in (path.with_suffix(".py"), path / "__init__.py"):
        if (ROOT / candidate).is_file():
            return candidate
    return None


def imported_by(file: Path) -> set[Path]:
    """Files of ours that `file` imports anywhere in it, those inside functions included."""
    found = set()
    for node in ast.walk(ast.parse((ROOT / file).read_text())):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        found |= {path for name in names if name.startswith("stages") and (path := stage_file(name))}
    return found


def closure(entry: Path) -> set[Path]:
    """Everything of ours that runs when `entry` runs, package __init__ files of the rooms included."""
    seen, todo = set(), [entry]
    while todo:
        file = todo.pop()
        if file in seen:
            continue
        seen.add(file)
        todo += imported_by(file)
    return seen


def stages_of(line: str) -> list[tuple[str, dict]]:
    return list(YAML(typ="safe").load((ROOT / line).read_text())["stages"].items())


def entry_of(stage: dict) -> Path:
    words = shlex.split(stage["cmd"].removeprefix("cd ../.. && "))
    assert words[:2] == ["python", "-m"], "a stage runs as a module, so that its imports can be followed"
    path = Path(*words[2].split("."))
    return path / "__main__.py" if (ROOT / path).is_dir() else path.with_suffix(".py")


def modules_of(line: str, stage: dict) -> set[Path]:
    """What a stage declares under stages/, relative to the root; a dep counts from its wdir, which is its line's folder
    if not told otherwise."""
    folder = Path(line).parent / stage.get("wdir", ".")
    deps = {Path(os.path.normpath(folder / dep)) for dep in stage["deps"]}
    return {dep for dep in deps if dep.parts[0] == "stages" and not dep.is_relative_to(MADE)}


CASES = [(line, name, stage) for line in LINES for name, stage in stages_of(line)]


@pytest.mark.parametrize(("line", "name", "stage"), CASES, ids=[f"{line}:{name}" for line, name, _ in CASES])
def test_a_stage_declares_exactly_the_modules_it_imports(line: str, name: str, stage: dict) -> None:
    empty = {Path("stages/__init__.py"), Path("stages/miniature/__init__.py")}  # docstrings only: nothing to rerun for
    needed = closure(entry_of(stage)) - empty
    declared = modules_of(line, stage)
    missing = {str(f) for f in needed if not any(f == d or d in f.parents for d in declared)}
    idle = {str(d) for d in declared if not any(f == d or d in f.parents for f in needed)}
    assert not missing, f"{line}: stage {name} imports {sorted(missing)} without declaring it"
    assert not idle, f"{line}: stage {name} declares {sorted(idle)} without importing it"


@pytest.mark.parametrize(("name", "stage"), stages_of("stages/miniature/dvc.yaml"))
def test_the_small_models_project_reads_files_and_no_folders_from_outside(name: str, stage: dict) -> None:
    """Its .dvcignore ends at its own folder: the __pycache__ of a folder outside would count as a change."""
    outside = [ROOT / "stages/miniature" / dep for dep in stage["deps"] if dep.startswith("..")]
    assert [str(path) for path in outside if not path.is_file()] == [], name


def test_the_packages_left_out_hold_a_docstring_only() -> None:
    for package in ("stages/__init__.py", "stages/miniature/__init__.py"):
        body = ast.parse((ROOT / package).read_text()).body
        assert all(isinstance(n, ast.Expr) and isinstance(n.value, ast.Constant) for n in body), package


def test_train_declares_every_param_of_its_section_but_the_cells() -> None:
    """A param that is read but not declared would be certified by the lock without ever being looked at."""
    from stages.params import Train

    declared = set(dict(stages_of("dvc.yaml"))["train"]["params"])
    assert declared == {f"train.{field}" for field in Train.model_fields} - {"train.recipes", "train.seeds"}


# What a stage reads beside code. A stage that opens another path must come here, and into dvc.yaml.
CELL = "${item.recipe}-${item.seed}"
READS = {
    "scenes": set(),
    "generate": {"${generate.source}/${item.class}.yaml", "models/miniature/diffusion"},
    "refine": {"data/generated/${item.class}", "models/miniature/clip", "models/miniature/sam"},
    "clean": {"data/refined/${item.class}/scores.csv"},
    "cutouts": {"data/cleaned", "data/refined"},
    "train": {
        "data/cutouts/${item.recipe}", "data/scenes/source", "data/scenes/target", "models/miniature/encoder",
    },
    "evaluate": {"data/scenes/val", f"models/segmenters/{CELL}.safetensors"},
    "report": {
        "data/cleaned", "data/evaluated", "data/generated", "data/refined", "data/scenes/source", "data/scenes/target",
        "data/scenes/val", "metrics/clean", "metrics/evaluate", "metrics/train",
    },
}  # fmt: skip
ROOT_LINE = dict(stages_of("dvc.yaml"))
UNTRACKED = {"engine"}  # how work is spread changes no result


@pytest.mark.parametrize("name", ROOT_LINE)
def test_a_stage_declares_the_data_and_models_that_it_reads(name: str) -> None:
    assert {dep for dep in ROOT_LINE[name]["deps"] if not dep.startswith("stages/")} == READS[name]


@pytest.mark.parametrize("name", ROOT_LINE)
def test_the_paths_of_the_table_are_those_in_the_stages_code(name: str) -> None:
    """The table itself would go stale: every folder of data that the entry opens by name is in it."""
    opened = {
        word
        for word in texts(entry_of(ROOT_LINE[name]))
        if word.startswith(("data/", "metrics/")) and (ROOT / word).suffix == "" and " " not in word
    }
    outs = {next(iter(out)) if isinstance(out, dict) else out for out in ROOT_LINE[name].get("outs", [])}
    known = {path.split("/${")[0] for path in READS[name] | outs | {f"metrics/{name}"}}
    strange = {word for word in opened if not any(path.startswith(word.rstrip("/")) for path in known)}
    assert strange - BY_HAND == set()


BY_HAND = {"data/check", "data/explained", "data/.work"}  # of commands that are no stage, and of a running training


def texts(file: Path) -> set[str]:
    """The string literals of a module, docstrings left out; of an f-string what stands before its first value."""
    tree = ast.parse((ROOT / file).read_text())
    inner = {id(value) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for value in node.values[1:]}
    docs = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    return {
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in inner | docs
    }


def params_read(file: Path) -> set[str]:
    """`section` or `section.key` of each `params.section[.key]`, where `params` is what read() gave, or typed so."""
    from stages.params import Params

    tree = ast.parse((ROOT / file).read_text())
    names = {
        target.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and is_read(node.value)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.arg) and isinstance(node.annotation, ast.Name) and node.annotation.id == "Params":
            names.add(node.arg)
    found, inside = set(), set()
    for node in ast.walk(tree):  # parents come before their children
        if not isinstance(node, ast.Attribute):
            continue
        chain = [node.attr]
        below = node.value
        while isinstance(below, ast.Attribute):
            chain.append(below.attr)
            inside.add(id(below))
            below = below.value
        whole = is_read(below) or (isinstance(below, ast.Name) and below.id in names)
        if whole and chain[-1] in Params.model_fields and id(node) not in inside:
            section = Params.model_fields[chain[-1]].annotation
            keys = getattr(section, "model_fields", {})
            found.add(".".join([chain[-1], *(key for key in chain[-2:-1] if key in keys)]))
    return found


def is_read(node: ast.AST) -> bool:
    """A call of stages.params.read, under either of its names."""
    if not isinstance(node, ast.Call):
        return False
    function = node.func
    return getattr(function, "attr", getattr(function, "id", "")) == "read" and not node.args


@pytest.mark.parametrize("name", ROOT_LINE)
def test_a_stage_declares_the_params_that_it_reads(name: str) -> None:
    stage = ROOT_LINE[name]
    read = params_read(entry_of(stage)) - UNTRACKED
    if "${classes}" in stage.get("matrix", {}).values():
        read.discard("classes")  # it picks the cells, and is read only to refuse a class that is none of them
    declared = set(stage["params"])
    if name == "train":  # key by key: the test above
        declared = {param.split(".")[0] for param in declared}
    missing = {param for param in read if not {param, param.split(".")[0]} & declared}
    idle = {param for param in declared if not any(param in (one, one.split(".")[0]) for one in read)}
    assert read and not missing, f"stage {name} reads {sorted(missing)} without declaring it"
    assert not idle, f"stage {name} declares {sorted(idle)} without reading it"
