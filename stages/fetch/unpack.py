"""Archives from strangers: every name and size is judged before a byte is written, and counted while it is.

Nothing is written but regular files and folders, below the folder given, with our own permissions. A refused
archive leaves nothing behind.
"""

from __future__ import annotations

import contextlib
import lzma
import shutil
import stat
import tarfile
import unicodedata
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from tqdm import tqdm

from stages.parts.errors import GraftError

SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
BLOCK = 1 << 20
MOST_BEHIND = 10 << 20  # bytes behind the last member of a tar: writers fill it up with zeros, to a block
DAMAGED = (
    tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, NotImplementedError, UnicodeError,
)  # fmt: skip


@dataclass(frozen=True)
class Limits:
    """What an archive of pictures may be. `ratio` is unpacked over packed bytes: pictures hardly shrink."""

    members: int = 200_000
    size: int = 50 * 1024**3
    ratio: float = 100.0
    slack: int = 10 * 1024**2  # bytes that any archive may unpack to, whatever the ratio


@dataclass(frozen=True)
class Member:
    """One regular file of an archive: where it goes, how long it claims to be, and how to read it."""

    path: PurePosixPath
    size: int
    stream: contextlib.AbstractContextManager[IO[bytes]]


class Refused(Exception):
    """Why an archive is not taken out."""


def is_archive(name: str) -> bool:
    return name.lower().endswith(SUFFIXES)


def unpack(archive: Path, folder: Path, limits: Limits | None = None) -> None:
    """Take the archive out into `folder`, which appears whole or not at all.

    Raises GraftError that names the archive and the member for anything hostile or damaged, and when the disk
    has not the room."""
    limits = limits or Limits()
    unfinished = folder.with_name(folder.name + ".unpacking")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    try:
        _take_out(archive, unfinished, limits)
        shutil.rmtree(folder, ignore_errors=True)
        unfinished.rename(folder)
    except Refused as reason:
        raise GraftError(f"{archive} is refused: {reason}; nothing of it was kept") from None
    except (*DAMAGED, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:  # the disk's, not gzip's or bz2's for damaged data
            raise
        told = " ".join(str(error).split())
        raise GraftError(f"{archive} is damaged ({told}); delete it and fetch it again") from None
    except RuntimeError as error:  # zipfile's word for an encrypted member
        raise GraftError(f"{archive} is refused: {error}; nothing of it was kept") from None
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _take_out(archive: Path, folder: Path, limits: Limits) -> None:
    packed = archive.stat().st_size
    allowed = min(limits.size, max(limits.slack, int(packed * limits.ratio)))
    seen: dict[str, str] = {}
    written = claimed = 0
    members = _zip_members(archive) if archive.name.lower().endswith(".zip") else _tar_members(archive)
    for number, member in enumerate(tqdm(members, desc=f"unpacking {archive.name}", unit="file", delay=2), 1):
        if number > limits.members:
            raise Refused(f"it holds more than {limits.members} files")
        _judge_collision(member.path, seen)
        claimed += member.size
        if claimed > allowed:
            raise Refused(f"it would unpack to more than {allowed} bytes ({packed} packed)")
        _judge_room(folder, member.size)
        target = folder / member.path
        target.parent.mkdir(parents=True, exist_ok=True)
        with member.stream as source, open(target, "xb") as copy:
            written += _copy(source, copy, min(member.size, allowed - written), str(member.path))


def _copy(source: IO[bytes], copy: IO[bytes], most: int, name: str) -> int:
    """Copy to the end, refusing the first byte beyond what the member claimed."""
    count = 0
    while block := source.read(BLOCK):
        count += len(block)
        if count > most:
            raise Refused(f"{name!r} is longer than it claims to be")
        copy.write(block)
    return count


def _zip_members(archive: Path) -> Iterator[Member]:
    with zipfile.ZipFile(archive) as opened:
        for info in opened.infolist():
            path = _judged(info.orig_filename)
            kind = stat.S_IFMT(info.external_attr >> 16)
            if info.is_dir() or kind == stat.S_IFDIR:
                continue
            if kind not in (0, stat.S_IFREG):
                raise Refused(f"{info.filename!r} is a link or a device, not a file")
            yield Member(path, info.file_size, opened.open(info))


def _tar_members(archive: Path) -> Iterator[Member]:
    with tarfile.open(archive, "r:*") as opened:
        for info in opened:
            if info.isdir() and info.name in (".", "./"):
                continue
            path = _judged(info.name)
            if info.isdir():
                continue
            if not info.isreg() or info.issparse():
                raise Refused(f"{info.name!r} is a link, a device or a sparse file, not a plain one")
            stream = opened.extractfile(info)
            assert stream is not None, "a regular member has a stream"
            yield Member(path, info.size, stream)
        assert opened.fileobj is not None, "an open tar has a stream"
        _read_to_end(opened.fileobj.read)


def _read_to_end(read: Callable[[int], bytes]) -> None:
    """The checksum of a compressed tar is at its end, behind the last member, where tarfile does not look."""
    count = 0
    while block := read(BLOCK):
        count += len(block)
        if count > MOST_BEHIND:
            raise Refused("there is more behind its last file than an end")


def _judged(name: str) -> PurePosixPath:
    """The relative path of a member. Refuses whatever could lead out of the folder, on any system."""
    if not name.isprintable() or "\\" in name or name.startswith("/") or (len(name) > 1 and name[1] == ":"):
        raise Refused(f"{name!r} is no plain relative path")
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise Refused(f"{name!r} leads out of the folder")
    if not parts or len(parts) > 20 or any(len(part.encode()) > 200 for part in parts):
        raise Refused(f"{name[:80]!r} is too long, too deep or empty")
    return PurePosixPath(*parts)


def _judge_collision(path: PurePosixPath, seen: dict[str, str]) -> None:
    """Two names that some file system takes for one, and a file where another needs a folder."""
    folded = [unicodedata.normalize("NFC", part).casefold() for part in path.parts]
    for depth in range(1, len(folded)):
        above, spelled = "/".join(folded[:depth]), "/".join(path.parts[:depth]) + "/"
        if seen.setdefault(above, spelled) != spelled:
            raise Refused(f"{str(path)!r} and {seen[above]!r} are one name where case is ignored")
    whole = "/".join(folded)
    if whole in seen:
        raise Refused(f"{str(path)!r} and {seen[whole]!r} are one name where case is ignored")
    seen[whole] = str(path)


def _judge_room(folder: Path, size: int) -> None:
    free = shutil.disk_usage(folder).free
    if size > free:
        raise Refused(f"no space left on the disk: {size / 1e6:.1f} MB needed, {free / 1e6:.1f} MB are free")
