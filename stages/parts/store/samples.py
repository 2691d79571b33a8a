"""The sample: identity, index, shards, resume. The only code that writes sample files.

A sample's key is a hash of everything that made it, its sha256 one of everything in it. A run keeps the
samples of its folder whose key and sha256 both match, makes the others, and leaves the same bytes as a run
from nothing. While it runs, or after it was killed, the folder also holds
    .partial/<uid>.<key>.tar   one finished sample each, its row in the member ".row"
    .lock                      of the run that is at work: see lock.py
stages/parts/store/shards.py tells the format of a finished folder.
"""

import json
import re
import shutil
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from stages.parts.store.atomic import write_changed
from stages.parts.store.keys import canonical, file_hash, key
from stages.parts.store.lock import LOCK, alone
from stages.parts.store.pictures import npy_array, npy_bytes, png_array, png_bytes
from stages.parts.store.shards import (
    INDEX,
    OWN_FIELDS,
    Row,
    Shards,
    Stored,
    content_hash,
    is_tar_of,
    parse_row,
    rows_beside,
    rows_name,
    tar_spans,
    write_tar,
)

__all__ = [
    "Built",
    "Sample",
    "Shards",
    "build",
    "file_hash",
    "key",
    "npy_array",
    "npy_bytes",
    "png_array",
    "png_bytes",
]

PARTIAL = ".partial"
NAME = re.compile(r"[A-Za-z0-9_-]+")

Make = Callable[[list[str]], Iterable["Sample"]]


@dataclass(frozen=True)
class Sample:
    """One sample in memory: `files` is suffix ("image.png") -> content, `row` what the index says of it."""

    uid: str
    key: str
    row: dict[str, Any]
    files: dict[str, bytes]


@dataclass(frozen=True)
class Built:
    """What a run did: how many samples it kept and how many it made."""

    kept: int
    made: int


def build(
    folder: Path | str,
    wanted: Mapping[str, str],
    make: Make,
    *,
    title: str,
    shard_size: int = 500,
    beside: Collection[str] = (),
) -> Built:
    """Bring `folder` to hold exactly the samples `wanted` (uid -> key), the same bytes as a run from nothing.

    Keeps what a finished or a killed run left and still matches; calls `make` with the sorted uids of the rest, not
    at all when none is missing. `make` may yield them in any order; each is on disk before the next is asked for. A
    shard that is whole, and the index of a run that keeps everything, are left untouched. The old index stays valid
    until the new one replaces it. Every other file of the folder is deleted last, but for the names `beside` when
    the index stays as it is: tables of the samples, which the caller writes after this call. Raises GraftError when
    the disk is full, or another process is at work in the folder; ValueError when `make` does not give what it was
    asked for."""
    folder = Path(folder)
    for name in (*wanted, *wanted.values()):
        if not NAME.fullmatch(name):
            raise ValueError(f"{title}: {name!r} cannot name a sample; use letters, digits, '-' and '_'")
    with alone(folder):
        kept = _matching(folder, wanted, title)
        missing = {uid: wanted[uid] for uid in sorted(wanted.keys() - kept.keys())}
        if missing:
            (folder / PARTIAL).mkdir(exist_ok=True)
        made = _make(folder, missing, make, title) if missing else {}
        _finish(folder, kept | made, shard_size, title, beside)
    print(f"{title}: kept {len(kept)}, made {len(made)}")
    return Built(len(kept), len(made))


def _matching(folder: Path, wanted: Mapping[str, str], title: str) -> dict[str, Stored]:
    """uid -> an intact sample on disk that has the wanted key. Damaged ones are named on stderr."""
    kept: dict[str, Stored] = {}
    damaged = set()
    found = [stored for stored in _on_disk(folder) if wanted.get(stored.row["uid"]) == stored.row["key"]]
    for stored in tqdm(found, desc=f"{title}: checking", unit="sample", delay=2, leave=False):
        uid = stored.row["uid"]
        if stored.whole() is None:
            damaged.add(uid)
        else:
            kept.setdefault(uid, stored)
    if lost := sorted(damaged - kept.keys()):
        some = ", ".join(lost[:5]) + ", ..." * (len(lost) > 5)
        print(f"{title}: {len(lost)} damaged in {folder}, made again: {some}", file=sys.stderr)
    return kept


def _on_disk(folder: Path) -> Iterator[Stored]:
    """Every sample that a finished run and then a killed one left in the folder, unverified.

    What the index says of a sample and what its shard's own rows say are two of them when they differ."""
    index = folder / INDEX
    files = ({INDEX: index.read_bytes()} if index.is_file() else {}) | rows_beside(folder)
    found: dict[bytes, Row | None] = {line: parse_row(line) for text in files.values() for line in text.splitlines()}
    rows = [row for row in found.values() if row]
    if len(rows) < len(found):
        print(f"{folder}: {len(found) - len(rows)} damaged lines in {', '.join(_damaged(files))}", file=sys.stderr)
    spans = {shard: tar_spans(folder / shard) for shard in sorted({row["shard"] for row in rows})}
    for row in rows:
        yield Stored(row, folder / row["shard"], spans[row["shard"]].get(row["uid"], {}))
    for path in sorted((folder / PARTIAL).glob("*.tar")):
        yield from _partial(path)


def _damaged(files: Mapping[str, bytes]) -> list[str]:
    """Which of the files of rows have a line that is none."""
    return [name for name, text in files.items() if not all(parse_row(line) for line in text.splitlines())]


def _partial(path: Path) -> Iterator[Stored]:
    """The sample of one partial file; nothing when it cannot be read."""
    spans = tar_spans(path)
    offset, size = spans.get("", {}).get("row", (0, 0))
    with open(path, "rb") as tar:
        tar.seek(offset)
        row = parse_row(tar.read(size))
    if row is not None:
        yield Stored(row, path, spans.get(row["uid"], {}))


def _make(folder: Path, missing: dict[str, str], make: Make, title: str) -> dict[str, Stored]:
    """Make the missing samples (uid -> key), each safe on disk as soon as it is yielded."""
    made: dict[str, Stored] = {}
    with tqdm(total=len(missing), desc=title, unit="sample") as progress:
        for sample in make(list(missing)):
            if sample.uid in made or missing.get(sample.uid) != sample.key:
                raise ValueError(f"{title}: sample {sample.uid} with key {sample.key} was not asked for")
            made[sample.uid] = _persist(folder, sample, waiting=len(missing) - len(made))
            progress.update()
    if forgotten := sorted(missing.keys() - made.keys()):
        raise ValueError(f"{title}: {len(forgotten)} samples were not made, the first is {forgotten[0]}")
    return made


def _persist(folder: Path, sample: Sample, waiting: int) -> Stored:
    """Write one sample to its partial file."""
    if clash := sorted(sample.row.keys() & set(OWN_FIELDS)):
        raise ValueError(f"{sample.uid}: a row may not set the field {clash[0]}, the index does")
    path = folder / PARTIAL / f"{sample.uid}.{sample.key}.tar"
    row = json.loads(canonical(sample.row)) | {"uid": sample.uid, "key": sample.key, "shard": path.name}
    row["sha256"] = content_hash(row, sample.files)
    members = [(f"{sample.uid}.{suffix}", content) for suffix, content in sample.files.items()]
    needed = 2 * waiting * sum(len(content) for _, content in members)  # written twice: here, then to a shard
    write_tar(path, [(".row", canonical(row).encode()), *members], needed)
    return Stored(row, path, tar_spans(path).get(sample.uid, {}))


def _finish(folder: Path, stored: dict[str, Stored], shard_size: int, title: str, beside: Collection[str]) -> None:
    """Pack the samples into shards, write the rows beside each, then the index, then delete all else."""
    for path in set((folder / PARTIAL).glob("*")) - {one.path for one in stored.values()}:
        path.unlink()  # makes room: samples of another setting, which the end of this run would delete anyway
    uids, rows = sorted(stored), dict[str, str]()
    groups = [[stored[uid] for uid in uids[k : k + shard_size]] for k in range(0, len(uids), shard_size)]
    for number, group in enumerate(tqdm(groups, desc=f"{title}: packing", unit="shard", delay=2, leave=False)):
        shard = f"{number:05d}-{key(samples=[one.row['sha256'] for one in group])[:12]}.tar"
        # A shard that is whole stays untouched: DVC need not hash it again.
        if not is_tar_of(folder / shard, _members(group)):
            needed = sum(size for one in group for _, size in one.spans.values())
            write_tar(folder / shard, _members(group), needed)
        rows[shard] = "".join(canonical(one.row | {"shard": shard}) + "\n" for one in group)
    # After the tars: a disk that is full by then leaves the old index with its own rows alone.
    for shard, lines in rows.items():
        write_changed(folder / rows_name(shard), lines)
    changed = write_changed(folder / INDEX, "".join(rows.values()))
    written = {INDEX, LOCK, *rows, *map(rows_name, rows)}
    _sweep(folder, written | (set() if changed else set(beside)))


def _members(group: list[Stored]) -> Iterator[tuple[str, bytes]]:
    for stored in group:
        for suffix, content in sorted(stored.files().items()):
            yield f"{stored.row['uid']}.{suffix}", content


def _sweep(folder: Path, needed: set[str]) -> None:
    for path in folder.iterdir():
        if path.name not in needed:
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
