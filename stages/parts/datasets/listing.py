"""The files below a folder of the user's: links followed, hidden entries passed over, what cannot be read named."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from stages.parts.errors import GraftError

# What a file server, a Mac or Windows leaves beside pictures; whatever begins with a dot is passed over too.
LEFT_BEHIND = frozenset({"@eadir", "__macosx", "#recycle", "lost+found", "$recycle.bin", "system volume information"})


def files_below(folder: Path, ends: tuple[str, ...]) -> Iterator[Path]:
    """Every file below the folder whose name has one of the ends, in any case of letters; in the order of names.

    A link to a file or to a folder counts as what it leads to. A folder that is reached once more from inside of
    itself is passed over: what it holds is listed already. Raises GraftError for a link that leads nowhere, a folder
    that may not be read, and a name that is no UTF-8, each when it is come to."""
    yield from _walk(folder, tuple(end.lower() for end in ends), ())


def _walk(folder: Path, ends: tuple[str, ...], above: tuple[tuple[int, int], ...]) -> Iterator[Path]:
    """`above`: device and inode of the folders on the way here."""
    try:
        status = folder.stat()
        if (status.st_dev, status.st_ino) in above:
            return
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        raise GraftError(f"{folder} cannot be read ({error.strerror}); make it readable, or remove it") from None
    for entry in entries:
        if hidden(entry.name):
            continue
        path = folder / entry.name
        if path.is_dir() if entry.is_symlink() else entry.is_dir():  # of a link to itself scandir's raises
            yield from _walk(path, ends, (*above, (status.st_dev, status.st_ino)))
        elif end_of(entry.name, ends):
            yield _checked(path)
        elif entry.is_symlink() and not path.exists() and not path.suffix:
            raise GraftError(f"{path} is a link that leads nowhere; mend or remove it")  # it may have been a folder


def _checked(path: Path) -> Path:
    """A file that was found by its name. GraftError when nobody could read it."""
    if not is_text(path.name):
        raise GraftError(f"{str(path)!r}: its name is no UTF-8; rename it")
    if not path.exists():
        raise GraftError(f"{path} is a link that leads nowhere; mend or remove it")
    if not path.is_file():
        raise GraftError(f"{path} is no file; remove it")
    if not os.access(path, os.R_OK):
        raise GraftError(f"{path} may not be read; make it readable, or remove it")
    return path


def hidden(name: str) -> bool:
    """Whether no user means this entry: .ipynb_checkpoints, ._0.png, .DS_Store, @eaDir, ..."""
    return name.startswith(".") or name.lower() in LEFT_BEHIND


def end_of(name: str, ends: tuple[str, ...]) -> str:
    """Which of the ends a file's name has, in any case of letters; "" for none."""
    return next((end for end in ends if name.lower().endswith(end.lower())), "")


def is_text(name: str) -> bool:
    """Whether a name can be written down: what Python cannot decode of one it keeps as lone surrogates."""
    return not any("\ud800" <= letter <= "\udfff" for letter in name)
