"""The cheapest way back to samples that are missing or damaged, as messages advise it: nothing whole is thrown away."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

LOCKS = ("dvc.lock", "lines/*/dvc.lock")


def way_back(folder: Path) -> str:
    """The end of a sentence: how to have a folder of samples brought back by the stage that writes it.

    The stage is forced: DVC by itself may not look at a file whose size and time are those it knows. That finds what
    is whole by its hash, and makes the rest alone."""
    name = next(_stages(folder), None)
    known = f"`dvc repro -s -f {name}`" if name else f"the stage that writes {folder} (`dvc repro -s -f STAGE`)"
    return f"run {known}: all that is whole is kept, only what was lost is made"


def _stages(folder: Path) -> Iterator[str]:
    """The stage that last wrote the folder, or one that it lies in, as DVC is to be told it."""
    from ruamel.yaml import YAML  # here, for a message is seldom needed
    from ruamel.yaml.error import YAMLError

    for path in (path for pattern in LOCKS for path in sorted(Path().glob(pattern))):
        line = "" if path.parent == Path() else f"{path.with_suffix('.yaml').as_posix()}:"
        # What advises may not fail for a lock that is damaged itself.
        with contextlib.suppress(OSError, ValueError, TypeError, AttributeError, KeyError, YAMLError):
            for name, stage in YAML(typ="safe").load(path.read_bytes())["stages"].items():
                outputs = [Path(out["path"]) for out in stage.get("outs", [])]
                if any(output in (folder, *folder.parents) for output in outputs):
                    yield f"{line}{name}"
