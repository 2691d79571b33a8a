"""Whether something can be written at a place, asked before the work and not after it."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from stages.parts.errors import GraftError


def check_place(path: Path) -> None:
    """GraftError unless a file can be made at `path`, or in it where it is a folder. Nothing is left behind.

    Folders on the way that do not exist yet are not made: the nearest that exists is tried."""
    try:
        if path.exists() and not path.is_dir():
            if not (path.is_file() and os.access(path, os.W_OK)):
                raise GraftError(f"{path} cannot be written; name another place, or make it writable")
            path = path.parent
        while not path.exists():
            if path.is_symlink():
                raise GraftError(f"{path} is a link that leads nowhere; mend or remove it")
            path = path.parent
        with tempfile.TemporaryFile(dir=path):
            pass
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise GraftError(f"{path} cannot be written ({reason}); name another place, or make it writable") from None
