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
