"""code: the fingerprint of the code of every stage, so that an edit reruns what it can change and nothing else.

in       dvc.yaml, lines/*/dvc.yaml and all of our modules that their stages run
out      metrics/code/STAGE, a line each: 64 hex digits (see parts/store/fingerprint.py). The stages depend on these
         files, not on modules: an edited comment, docstring or other room reruns this stage alone
command  python -m stages.code [DVC.YAML ...]
cost     a second
expect   `git diff metrics/code` names the stages that an edit makes stale
source   ours
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from stages.parts.command import FOLDERS, command, name
from stages.parts.store.atomic import write_changed
from stages.parts.store.fingerprint import fingerprint

LINES = ("dvc.yaml", "lines/*/dvc.yaml")


@command
def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m stages.code", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("lines", nargs="*", type=Path, metavar="DVC.YAML", help="default: those of this project")
    parser.add_argument("--out", type=Path, default=FOLDERS[0], metavar="FOLDER", help="default: %(default)s")
    args = parser.parse_args(argv)
    lines = args.lines or [path for pattern in LINES for path in sorted(Path().glob(pattern)) if same_project(path)]
    found = {args.out / name(module): fingerprint(module) for line in lines for module in modules(line)}
    for path, digits in found.items():
        write_changed(path, f"{digits}\n")
    for path in set(args.out.iterdir()) - found.keys():
        path.unlink()  # of a stage that is gone


def same_project(line: Path) -> bool:
    """Whether the line belongs to the root's DVC project, and is no project of its own."""
    return line.parent == Path() or not (line.parent / ".dvc").is_dir()


def modules(line: Path) -> list[str]:
    """The module that each stage of a dvc.yaml runs: `python -m MODULE ...`."""
    stages: dict[str, Any] = YAML(typ="safe").load(line.read_text())["stages"]
    commands = [stage["cmd"].rpartition("python -m ")[2].split()[0] for stage in stages.values()]
    return [entry(command) for command in commands if command != "stages.code"]


def entry(module: str) -> str:
    """The module that `python -m module` runs."""
    return f"{module}.__main__" if Path(*module.split("."), "__main__.py").is_file() else module


if __name__ == "__main__":
    main()
