"""What every command has in common: how it ends when something is wrong."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from stages.parts.errors import GraftError
from stages.parts.store.atomic import write_changed
from stages.parts.store.fingerprint import ROOT, fingerprint

FOLDERS = (Path("metrics/code"), Path("lines/miniature/code"))  # of fingerprints, one for each DVC project
OUT_OF_MEMORY = "OutOfMemoryError"  # torch's, by its name: not every stage loads torch
FIT = (
    "the GPU has not the memory for this; in params.yaml lower the `batch` of this stage, or for generate set "
    "attention_slicing or offload to true, or dtype to float16; what was finished is kept"
)


class Main(Protocol):
    """A stage's main: its arguments, those of the process by default."""

    def __call__(self, argv: Sequence[str] | None = None) -> None: ...


def command(main: Main) -> Main:
    """Decorate a stage's main: a GraftError becomes one sentence on stderr and exit status 2, and so
    does what the file system or a full GPU refuses; Ctrl-C becomes 130."""

    @functools.wraps(main)
    def wrapped(argv: Sequence[str] | None = None) -> None:
        os.environ.setdefault("HF_HUB_OFFLINE", "1")  # nothing is fetched by surprise: only a fetch stage may
        try:
            certify()
            main(argv)
        except GraftError as error:
            print(f"error: {error}", file=sys.stderr)
            raise SystemExit(2) from None
        except OSError as error:
            if error.filename is None:
                raise
            print(f"error: {error.filename}: {error.strerror}", file=sys.stderr)
            raise SystemExit(2) from None
        except RuntimeError as error:
            if type(error).__name__ != OUT_OF_MEMORY:
                raise
            print(f"error: {FIT}", file=sys.stderr)
            raise SystemExit(2) from None
        except KeyboardInterrupt:
            print("stopped; what was finished is kept: run the same command again to go on", file=sys.stderr)
            raise SystemExit(130) from None

    return wrapped


def name(module: str) -> str:
    """What a stage's fingerprint is called: train of stages.train.__main__, primaps.fit of stages.primaps.fit."""
    return module.removeprefix("stages.").removesuffix(".__main__")


def certify() -> None:
    """Write the fingerprint of the code that starts to run now, if a stage of this repo does.

    DVC hashes what a stage depends on after it has run, and `dvc repro -s -f STAGE` leaves the stage `code` out: an
    edit made meanwhile would be certified as what made the outputs."""
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    if spec is not None and Path.cwd() == ROOT:
        for path in (folder / name(spec.name) for folder in FOLDERS):
            if path.is_file():
                write_changed(path, fingerprint(spec.name) + "\n")
