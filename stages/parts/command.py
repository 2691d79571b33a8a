"""What every command has in common: how it ends when something is wrong."""

from __future__ import annotations

import errno
import functools
import os
import re
import select
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn, Protocol

from stages.parts.errors import GraftError
from stages.parts.store.atomic import DISK_FULL, write_changed
from stages.parts.store.fingerprint import ROOT, fingerprint

FOLDERS = (Path("metrics/code"), Path("lines/miniature/code"))  # of fingerprints, one for each DVC project
MOST_SEED = 2**31 - 1  # as in params.yaml
GPU_FULL = (
    "the GPU has not the memory for this; in params.yaml lower the `batch` of this stage, or for generate set "
    "attention_slicing or offload to true, or dtype to float16; what was finished is kept"
)
FULL = (
    "this machine has not the memory for this; in params.yaml lower the `batch` of this stage, the sizes of its "
    "images or engine.workers, or end what else runs; what was finished is kept"
)
# torch's words, which its classes do not tell apart; torch itself is not loaded here.
OUT_OF_MEMORY = re.compile(
    "can't allocate memory|not enough memory|Cannot allocate memory|bad_alloc|Insufficient memory"
)
NO_DEVICE = re.compile(
    "NVIDIA driver|No CUDA GPUs|not compiled with \\w+ enabled|invalid device ordinal|nvalid device string"
    "|device type at start of device string|device >= 0|not linked with support for"
    "|with arguments from the '\\w+' backend"
)
STOPPED = 128 + 2  # as a shell counts: by Ctrl-C
UNREAD = 128 + 13  # what it writes is read no more, as by `| head`


class Main(Protocol):
    """A stage's main: its arguments, those of the process by default."""

    def __call__(self, argv: Sequence[str] | None = None) -> None: ...


def command(main: Main) -> Main:
    """Decorate a stage's main: a GraftError becomes one sentence on stderr and exit status 2, and so does what the file
    system, a full memory or a missing GPU refuses; Ctrl-C becomes 130, and output that nobody reads 141, in silence."""

    @functools.wraps(main)
    def wrapped(argv: Sequence[str] | None = None) -> None:
        os.environ["HF_HUB_OFFLINE"] = "1"  # nothing is fetched by surprise: only a fetch stage may
        open_standard_streams()
        try:
            try:
                certify()
                main(argv)
            except SystemExit:  # argparse has printed its help
                flush()
                raise
            flush()
        except KeyboardInterrupt:
            print("stopped; what was finished is kept: run the same command again to go on", file=sys.stderr)
            raise SystemExit(STOPPED) from None
        except Exception as error:
            if isinstance(error, BrokenPipeError) and unread():
                end_unread()
            told = sentence(error)
            if told is None:
                raise
            print("error:", told.encode("utf-8", "backslashreplace").decode(), file=sys.stderr)  # a name may be no text
            raise SystemExit(2) from None

    return wrapped


def sentence(error: Exception) -> str | None:
    """What is told to the user; None for a fault of ours, whose traceback is wanted."""
    words = " ".join(str(error).split())
    match error:
        case GraftError():
            return str(error)
        case OSError(filename=str() | bytes() | Path() as name):
            return f"{os.fsdecode(name)}: {error.strerror}"
        case OSError(errno=number) if number in DISK_FULL:
            return f"{error.strerror}, where the output goes; make room and run again, what was finished is kept"
        case MemoryError() | OSError(errno=errno.ENOMEM):
            return FULL
    if type(error).__name__ == "OutOfMemoryError":  # torch's, of a GPU
        return GPU_FULL
    if NO_DEVICE.search(words) and isinstance(error, RuntimeError | AssertionError):
        return f"this machine has not that device ({words[:200]}); `make doctor` tells what it has"
    if OUT_OF_MEMORY.search(words) and (isinstance(error, RuntimeError) or type(error).__module__.startswith("cv2")):
        return FULL
    return None


def open_standard_streams() -> None:
    """A stream that the shell has closed goes nowhere; else the next file opened would take its number, and get what
    libraries print."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_RDWR), "r" if number == 0 else "w"))


def flush() -> None:
    """What is still to be written, here, where a reader that is gone can be told from other faults."""
    sys.stdout.flush()
    sys.stderr.flush()


def unread() -> bool:
    """Whether stdout or stderr is a pipe that nobody reads any more."""
    poll = select.poll()
    for number in (1, 2):
        poll.register(number, 0)
    return any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0))


def end_unread() -> NoReturn:
    """End in silence: what Python would still flush goes nowhere."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    raise SystemExit(UNREAD) from None


def seed(text: str) -> int:
    """argparse's type of a seed. GraftError for what is none: numpy's streams take no more than 32 bits."""
    if not re.fullmatch(r"\d{1,10}", text, re.ASCII) or int(text) > MOST_SEED:
        raise GraftError(f"the seed must be a whole number from 0 to {MOST_SEED} (it is {text[:40]}); correct it")
    return int(text)


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
