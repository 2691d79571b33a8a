"""Archives from strangers: every name and size is judged before a byte is written, and counted while it is.

Nothing is written but regular files and folders, below the folder given, with our own permissions. A refused
archive leaves nothing behind.
"""

from __future__ import annotations

import contextlib
import errno
import io
import shutil
import stat
import unicodedata
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from tqdm import tqdm

from stages.fetch.headers import Archive, Refused
from stages.parts.errors import GraftError

SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
BLOCK = 1 << 20
MOST_BEHIND = 10 << 20  # bytes behind the last member of a tar: writers fill it up with zeros, to a block
LONGEST = 1000  # bytes of a member's path
SEEKING = (errno.EINVAL, errno.EOVERFLOW)  # a place in the archive that cannot be: its fault, not the disk's


@dataclass(frozen=True)
class Limits:
    """What an archive of pictures may be. `ratio` is unpacked over packed bytes: pictures hardly shrink."""

    members: int = 200_000
    folders: int = 10_000
    size: int = 50 * 1024**3
    ratio: float = 100.0
    slack: int = 10 * 1024**2  # bytes that any archive may unpack to, whatever the ratio


@dataclass(frozen=True)
class Member:
    """One regular file of an archive: where it goes, how long it claims to be, and how to read it."""

    path: PurePosixPath
    size: int
    stream: contextlib.AbstractContextManager[IO[bytes]]


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
    except MemoryError:
        raise GraftError(
            f"{archive} is refused: it asks for more memory than there is; nothing of it was kept"
        ) from None
    except Exception as error:  # a reader of damaged bytes raises whatever its indices and numbers do
        if isinstance(error, OSError) and error.errno is not None and error.errno not in SEEKING:
            raise  # the disk's
        if isinstance(error, RuntimeError) and "encrypted" in str(error):
            raise GraftError(f"{archive} is refused: {error}; nothing of it was kept") from None
        told = " ".join(str(error).split())[:300] or type(error).__name__
        raise GraftError(f"{archive} is damaged ({told}); delete it and fetch it again") from None
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _take_out(archive: Path, folder: Path, limits: Limits) -> None:
    packed = archive.stat().st_size
    allowed = min(limits.size, max(limits.slack, int(packed * limits.ratio)))
    seen: dict[str, str] = {}
    written = claimed = 0
    members = (_zip_members if archive.name.lower().endswith(".zip") else _tar_members)(archive, limits)
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


class _Contents(io.FileIO):
    """A zip whose table of contents is judged as it is read, in one go and before an entry of it is made."""

    entries = 0  # that are allowed

    def read(self, size: int | None = -1, /) -> bytes:
        content = super().read(size) or b""
        if content.count(b"PK\x01\x02") > self.entries:
            raise Refused(f"it holds more than {self.entries} files")
        return content


def _zip_members(archive: Path, limits: Limits) -> Iterator[Member]:
    with _Contents(archive) as file:
        file.entries = limits.members + limits.folders
        folders = 0
        with zipfile.ZipFile(file) as opened:
            for info in opened.infolist():
                path = _judged(info.orig_filename)
                kind = stat.S_IFMT(info.external_attr >> 16)
                if info.is_dir() or kind == stat.S_IFDIR:
                    folders = _one_more(folders, limits)
                    continue
                if kind not in (0, stat.S_IFREG):
                    raise Refused(f"{info.filename!r} is a link or a device, not a file")
                yield Member(path, info.file_size, opened.open(info))


def _tar_members(archive: Path, limits: Limits) -> Iterator[Member]:
    folders = 0
    with Archive.open(archive, "r:*") as opened:
        while (info := opened.next()) is not None:
            if info.isdir():
                folders = _one_more(folders, limits)
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


def _one_more(folders: int, limits: Limits) -> int:
    if folders == limits.folders:
        raise Refused(f"it holds more than {limits.folders} folders")
    return folders + 1


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
    long = len(name.encode()) > LONGEST or any(len(part.encode()) > 200 for part in parts)
    if not parts or len(parts) > 20 or long:
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
