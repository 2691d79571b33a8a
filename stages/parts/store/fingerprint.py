"""The fingerprint of code: what runs when a module runs, so that what it made can be known by it.

Hashed are the syntax trees of all of our modules that an entry module imports, at the top or inside functions (no
comments, no docstrings, no positions: an edit there changes nothing), the files that lie beside them (page.html), and
the pins of the packages that they import. Three use it: stages/code.py, for DVC; a stage as it starts (command.py);
and the keys of samples and checkpoints. Syntax trees differ between minors of Python: 3.11 is pinned.
"""

import ast
import hashlib
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
# Packages whose pin has another name than their import; a test compares with what is installed.
PINNED_AS = {
    "PIL": "pillow", "cv2": "opencv-python-headless", "mmcv": "mmcv-lite", "mmengine": "onedl-mmengine",
    "mmseg": "onedl-mmsegmentation", "pydensecrf": "pydensecrf2", "ruamel": "ruamel.yaml",
    "segment_anything": "segment-anything",
}  # fmt: skip


def fingerprint(*modules: str) -> str:
    """64 hex digits over all that runs when these modules of ours run. ValueError for a module that is not there."""
    files, packages = closure(*modules)
    beside = {path for file in files for path in file.parent.iterdir() if path.suffix in (".html", ".json", ".csv")}
    parts = [f"{path.relative_to(ROOT).as_posix()} {content_hash(path)}" for path in sorted(files | beside)]
    pins = [line for line in pinned() if line.partition("==")[0] in packages]
    return hashlib.sha256("\n".join([*parts, *pins]).encode()).hexdigest()


def closure(*modules: str) -> tuple[set[Path], set[str]]:
    """Our files that run when these modules run, and the packages of others that they import, as they are pinned."""
    files, packages, todo = set(), set(), list(modules)
    while todo:
        module = todo.pop()
        path = file_of(module)
        if path is None and module in modules:
            raise ValueError(f"there is no module {module}")
        if path is None or path in files:
            continue
        files.add(path)
        names = imported_by(path)
        packages |= {PINNED_AS.get(top, top) for top in (name.partition(".")[0] for name in names)} - {"stages"}
        todo += [*(name for name in names if name.startswith("stages")), module.rpartition(".")[0]]
    return files, packages


def file_of(module: str) -> Path | None:
    """The file of a module of ours; None for a name in a module, and for anybody else's."""
    path = ROOT.joinpath(*module.split("."))
    return next((one for one in (path.with_suffix(".py"), path / "__init__.py") if module and one.is_file()), None)


@cache
def imported_by(path: Path) -> list[str]:
    """Every name that an import of this file may mean as a module."""
    nodes = list(ast.walk(ast.parse(path.read_bytes())))
    names = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    for node in nodes:
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return names


@cache
def content_hash(path: Path) -> str:
    """Of a module its syntax tree without docstrings, of any other file its bytes."""
    content = path.read_bytes()
    if path.suffix == ".py":
        tree = ast.parse(content)
        for node in ast.walk(tree):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                node.body = node.body[ast.get_docstring(node, clean=False) is not None :]
        content = ast.dump(tree).encode()
    return hashlib.sha256(content).hexdigest()


@cache
def pinned() -> tuple[str, ...]:
    """The lines "name==version" of requirements.txt."""
    return tuple(line for line in (ROOT / "requirements.txt").read_text().splitlines() if "==" in line)
