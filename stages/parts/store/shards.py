"""Samples on disk: the index, the tars, and verified reading.

A finished folder holds nothing but
    index.jsonl             one line per sample, sorted by uid: {"uid", "key", "sha256", "shard", ...its row}
    <number>-<hash>.tar     members "<uid>.<suffix>", sorted; the hash is over the samples inside: a new shard
                            never overwrites a different one that the index on disk still names
    <number>-<hash>.jsonl   the lines of the index that belong to this shard: together they are the index, which can be
                            lost without any sample being lost. Older folders lack them
"""

import contextlib
import hashlib
import io
import json
import re
import tarfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Self

from stages.parts.errors import GraftError
from stages.parts.store.atomic import replacing
from stages.parts.store.keys import canonical
from stages.parts.store.lock import LOCK
from stages.parts.store.way_back import way_back

Row = dict[str, Any]
Spans = dict[str, tuple[int, int]]

INDEX = "index.jsonl"
OWN_FIELDS = ("uid", "key", "sha256", "shard")
TAR_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]*\.tar")


def content_hash(row: Row, files: dict[str, bytes]) -> str:
    """sha256 over a sample's uid, key, row and files, whichever shard it lies in."""
    content = [[suffix, hashlib.sha256(files[suffix]).hexdigest()] for suffix in sorted(files)]
    known = {name: value for name, value in row.items() if name not in ("sha256", "shard")}
    return hashlib.sha256(canonical([known, content]).encode()).hexdigest()


@dataclass(frozen=True)
class Stored:
    """A sample on disk: its row, the tar it lies in, and suffix -> (offset, size) of its members there."""

    row: Row
    path: Path
    spans: Spans

    def files(self) -> dict[str, bytes]:
        """The members, suffix -> content. GraftError when they and the row do not match the row's sha256."""
        files = self.whole()
        if files is None:
            raise GraftError(
                f"{self.path}: sample {self.row['uid']} is missing or damaged; {way_back(self.path.parent)}"
            )
        return files

    def whole(self) -> dict[str, bytes] | None:
        """The members, or None when they and the row do not match the row's sha256."""
        files = {}
        # Opened anew each time: a handle kept open would share its position among forked data-loader workers.
        with contextlib.suppress(FileNotFoundError), open(self.path, "rb") as tar:
            for suffix, (offset, size) in self.spans.items():
                tar.seek(offset)
                files[suffix] = tar.read(size)
        return files if content_hash(self.row, files) == self.row["sha256"] else None


class Shards:
    """Reading a finished folder: `rows` sorted by uid, each {"uid", "key", "sha256", "shard", ...}.

    GraftError when the index is missing or malformed and, on reading, a sample is damaged. Safe to fork."""

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)
        self.rows = read_index(self.folder)
        self._position = {row["uid"]: number for number, row in enumerate(self.rows)}
        self._spans: dict[str, dict[str, Spans]] = {}

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[tuple[Row, dict[str, bytes]]]:
        """(row, files) in the order of the uids, one sample in memory at a time."""
        for row in self.rows:
            yield row, self._stored(row).files()

    def verify(self) -> Self:
        """Read every sample once, and be there again: GraftError, before any work, when one is missing or damaged."""
        for row in self.rows:
            self._stored(row).files()
        return self

    def read(self, uid: str) -> dict[str, bytes]:
        """The files of one sample, suffix -> content. GraftError for a uid that the index lacks."""
        if uid not in self._position:
            raise GraftError(f"{self.folder / INDEX} has no sample {uid}; run `dvc repro` to bring it up to date")
        return self._stored(self.rows[self._position[uid]]).files()

    def _stored(self, row: Row) -> Stored:
        shard = row["shard"]
        if shard not in self._spans:
            self._spans[shard] = tar_spans(self.folder / shard)
        return Stored(row, self.folder / shard, self._spans[shard].get(row["uid"], {}))


def read_index(folder: Path) -> list[Row]:
    """The rows of a finished folder. GraftError when the index is missing, malformed, not sorted, or not what the
    shards' own rows say."""
    path = folder / INDEX
    if not path.is_file():
        raise GraftError(f"{path} is missing; `dvc pull` it, or {way_back(folder)}")
    rows: list[Row] = []
    content = path.read_bytes()
    for number, line in enumerate(content.splitlines(), 1):
        row = parse_row(line)
        if row is None or (rows and row["uid"] <= rows[-1]["uid"]):
            raise GraftError(f"{path}: line {number} is damaged; {way_back(folder)}")
        rows.append(row)
    beside = rows_beside(folder)
    # While a run is at work, or after it was killed, shards that the index does not name yet may lie there.
    if beside and b"".join(beside.values()) != content and not (folder / LOCK).exists():
        raise GraftError(f"{path} and the rows beside the shards are not the same; {way_back(folder)}")
    return rows


def rows_name(shard: str) -> str:
    """The file beside a shard, that holds its lines of the index."""
    return f"{shard.removesuffix('.tar')}.jsonl"


def rows_beside(folder: Path) -> dict[str, bytes]:
    """Name -> content of the files of rows, in the order of the shards."""
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*.jsonl")) if path.name != INDEX}


def parse_row(line: bytes) -> Row | None:
    """One line of an index; None for anything but an object with the four own fields and a plain tar name."""
    try:
        row = json.loads(line)
        canonical(row).encode()  # a damaged number may read as infinity, which could not be hashed later
    except (ValueError, RecursionError):
        return None
    if not isinstance(row, dict) or not all(isinstance(row.get(name), str) for name in OWN_FIELDS):
        return None
    return row if TAR_NAME.fullmatch(row["shard"]) else None


def tar_spans(path: Path) -> dict[str, Spans]:
    """uid -> suffix -> (offset, size) of a tar's members "<uid>.<suffix>", without the unreadable ones."""
    found: dict[str, Spans] = {}
    readable = contextlib.suppress(FileNotFoundError, tarfile.TarError)
    # With ignore_zeros tarfile steps over a damaged header, so that what lies behind it is not lost.
    with readable, tarfile.open(path, "r:", ignore_zeros=True) as tar:
        for member in tar:
            uid, _, suffix = member.name.partition(".")
            if member.isreg():
                found.setdefault(uid, {})[suffix] = (member.offset_data, member.size)
    return found


def is_tar_of(path: Path, members: Iterable[tuple[str, bytes]]) -> bool:
    """Whether the file holds what write_tar would write of these members, to the byte."""
    with contextlib.suppress(FileNotFoundError, _DiffersError), open(path, "rb") as file:
        _add_members(_Compared(file), members)
        return not file.read(1)
    return False


class _DiffersError(Exception):
    """What is written is not what is there."""


class _Compared(io.RawIOBase):
    """A file to write to that looks whether the same stands there already; _DiffersError when it does not."""

    def __init__(self, there: IO[bytes]) -> None:
        self.there = there

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self.there.tell()

    def write(self, data: Any) -> int:
        if self.there.read(len(data)) != bytes(data):
            raise _DiffersError
        return len(data)


def write_tar(path: Path, members: Iterable[tuple[str, bytes]], needed: int) -> None:
    """Write members (name, content) as they come: ustar, mode 0644, no time, no owner; `needed` as below."""
    with replacing(path, needed) as file:
        _add_members(file, members)


def _add_members(file: Any, members: Iterable[tuple[str, bytes]]) -> None:
    with tarfile.open(fileobj=file, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, content in members:
            header = tarfile.TarInfo(name)
            header.size = len(content)
            tar.addfile(header, io.BytesIO(content))
