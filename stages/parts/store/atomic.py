"""Files that appear whole or not at all to whoever kills the process, or looks while it writes."""

from __future__ import annotations

import contextlib
import csv
import errno
import io
import os
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO

from stages.parts.errors import GraftError

DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def write_whole(path: Path, content: bytes | str) -> None:
    """Write a file, its folder too if need be; text as UTF-8. Raises GraftError when the disk is full."""
    data = content.encode() if isinstance(content, str) else content
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path, needed=len(data)) as file:
        file.write(data)


def write_changed(path: Path, content: bytes | str) -> bool:
    """write_whole, but a file that holds this already is left alone: DVC need not hash it again. Whether it changed."""
    data = content.encode() if isinstance(content, str) else content
    changed = not path.is_file() or path.read_bytes() != data
    if changed:
        write_whole(path, data)
    return changed


def write_csv(path: Path, header: Iterable[str], rows: Iterable[Iterable[object]]) -> None:
    """A table with a header, lines ended by \\n, written as write_changed."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    write_changed(path, text.getvalue())


@contextlib.contextmanager
def replacing(path: Path, needed: int) -> Iterator[IO[bytes]]:
    """A file to write to that gets its name only at the end: written beside its place, then renamed.

    Not synced to the disk, which costs 20 ms a sample: what a power cut tears, the sample's hash tells, and the next
    run makes it again. Raises GraftError when the disk is full; `needed` is the number of bytes to name in it."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")  # two processes may write one file at a time
    with renamed(temporary, path, f"about {needed / 1e6:.2f} MB needed, "), open(temporary, "wb") as file:
        yield file


@contextlib.contextmanager
def renamed(temporary: Path, path: Path, needed: str = "") -> Iterator[None]:
    """What the block writes to `temporary` is named `path` at its end, or gone. Raises GraftError when the disk is
    full; `needed` is what it says of the room that it takes."""
    try:
        yield
        os.replace(temporary, path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        if error.errno not in DISK_FULL:
            raise
        free = shutil.disk_usage(path.parent).free
        raise GraftError(
            f"{path}: no space left on the disk or over quota: {needed}{free / 1e6:.2f} MB are free; "
            "make room and run again, what was finished is kept"
        ) from error
