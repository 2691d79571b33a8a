"""One run at a time in a folder: a lock that dies with its process, and says who holds it.

While a run writes FOLDER, the file FOLDER/.lock is locked (fcntl, which NFS has too) and tells process, host and
command. The system frees the lock when the process ends, however it ends. A killed run leaves the file, unlocked: the
next one takes it over. DVC does not see it (.dvcignore).
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from stages.parts.errors import GraftError

LOCK = ".lock"
HELD = (errno.EACCES, errno.EAGAIN)
UNSUPPORTED = (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS)
SETTLED = 0.1  # seconds until a holder has surely written who it is
_ours: set[Path] = set()  # a lock is a process's: the system would give it to the same process twice, and free it once


@contextlib.contextmanager
def alone(folder: Path | str) -> Iterator[None]:
    """Inside the block no other process writes `folder`. It is made if need be; at the end it is gone if it is empty,
    and so are those above it that were made.

    A second time in one process it does nothing. GraftError, at once, when another process is at work there: one
    sentence that names it. Where the file system knows no locks, a word on stderr and no lock."""
    path = Path(folder).resolve() / LOCK
    if path in _ours:
        yield
        return
    made = [parent for parent in path.parents if not parent.exists()]
    descriptor = _locked(path, Path(folder))
    _ours.add(path)
    try:
        yield
    finally:
        _ours.discard(path)
        if _is_file_of(descriptor, path):
            path.unlink()  # while it is locked: whoever has it open already sees that it is gone, and tries again
        os.close(descriptor)
        with contextlib.suppress(OSError):
            for parent in dict.fromkeys([path.parent, *made]):
                parent.rmdir()


def _locked(path: Path, folder: Path) -> int:
    """A descriptor of the file, which is locked and has the name `path`."""
    while True:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        except FileNotFoundError:
            continue  # another run has just ended, and its empty folder went with it
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in UNSUPPORTED:
                print(f"{folder}: no locks here ({error.strerror}); let no second run write it", file=sys.stderr)
                return descriptor
            os.close(descriptor)
            if error.errno not in HELD:
                raise
            if holder := _holder(path):
                raise GraftError(
                    f"{folder} is being written by {holder}; wait until that has ended, or end it, and run the same "
                    "command again: what it finished is kept"
                ) from None
            continue
        if _is_file_of(descriptor, path):
            os.ftruncate(descriptor, 0)
            command = " ".join(["python", *sys.orig_argv[1:]])
            facts = {"pid": os.getpid(), "host": socket.gethostname(), "command": command}
            os.pwrite(descriptor, json.dumps(facts).encode() + b"\n", 0)
            return descriptor
        os.close(descriptor)  # its holder unlinked it as it ended: another file may have the name by now


def _is_file_of(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _holder(path: Path) -> str:
    """Who holds the lock, in words; "" when nobody does any more."""
    time.sleep(SETTLED)
    try:
        facts = json.loads(path.read_bytes())
        command = " ".join(str(facts["command"]).split())[:200]
        return f"process {int(facts['pid'])} on {facts['host']} (`{command}`)"
    except FileNotFoundError:
        return ""
    except (ValueError, TypeError, KeyError):
        return "another process"
