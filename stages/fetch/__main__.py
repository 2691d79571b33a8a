"""fetch: the published train, bus and truck cutouts of UCG, verified, as folders that generate takes in.

in       Zenodo record 17117206, a mirror, or a folder; the pinned table data/pins/zenodo.csv if there is one
out      data/published/zenodo/CLASS/{rgb,ss}/, and at the first fetch, once every archive is taken out whole, the
         pinned table (name, size, sha256); data/.work/fetch/zenodo/ keeps the files as fetched: give that folder to
         others as --from
command  python -m stages.fetch zenodo
cost     the download; what is whole is neither fetched nor unpacked again
expect   data/published/zenodo/train, bus and truck, each with rgb/ and ss/
source   Montalvo et al., J. Imaging 2025, doi 10.5281/zenodo.17117206

Only this stage uses the network. It is frozen in its dvc.yaml, so neither `dvc repro` nor `dvc pull` runs it.
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import hashlib
import math
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from stages.fetch import pins
from stages.fetch.download import Patience, download, part_of
from stages.fetch.layout import by_class
from stages.fetch.places import listing, local, no_archive
from stages.fetch.record import Listed
from stages.fetch.unpack import is_archive, unpack
from stages.parts.command import command
from stages.parts.datasets.labels import LABELS
from stages.parts.errors import GraftError

RECORDS = {"zenodo": 17117206}
API = "https://zenodo.org/api/records"
WORK = Path("data/.work/fetch")
MARKER = ".sha256"


@command
def main(argv: Sequence[str] | None = None) -> None:
    arguments = parser().parse_args(argv)
    work, out = WORK / arguments.name, Path("data/published") / arguments.name
    table = Path("data/pins") / f"{arguments.name}.csv"
    record = RECORDS[arguments.name] if arguments.record is None else arguments.record
    check(arguments)
    said = dict(_said(text) for text in arguments.classes)
    with sentences(work):
        work.mkdir(parents=True, exist_ok=True)
        listed = listing(arguments.source, f"{arguments.api.rstrip('/')}/{record}", work)
        pinned = pins.read(table)
        pins.compare(listed, pinned, table)
        check_room(listed, work)
        patience = Patience(first=arguments.wait)
        hashes = {file.name: fetch(file, arguments.source, work, pinned, table, patience) for file in listed}
        take_all_out(work, {name: sha256 for name, sha256 in hashes.items() if is_archive(name)}, sorted(hashes))
        arrange(by_class(work / "unpacked", said), out)
        if not pinned:
            pins.write(table, {file.name: pins.Pin(file.size, hashes[file.name]) for file in listed})
            print(f"pinned {len(listed)} files in {table}: commit it, and every later fetch must give the same bytes")


def check(arguments: argparse.Namespace) -> None:
    """GraftError for a number or an address that makes no sense."""
    if arguments.record is not None and arguments.record < 1:
        raise GraftError(f"--record {arguments.record}: there is no such record; its number is in the record's address")
    if not (math.isfinite(arguments.wait) and 0 <= arguments.wait <= 3600):
        raise GraftError(f"--wait {arguments.wait}: give it in seconds, from 0 to 3600")
    if local(arguments.api, "--api") is not None:
        raise GraftError(f"--api {arguments.api!r}: an address must begin with http:// or https://")
    if arguments.source is not None:
        local(arguments.source, "--from")


def check_room(listed: Sequence[Listed], work: Path) -> None:
    """A download that cannot end is not begun. Unpacking is counted on its own."""
    paths = [path for file in listed for path in (work / file.name, part_of(work / file.name))]
    have = sum(path.stat().st_size for path in paths if path.exists())
    needed, free = sum(file.size for file in listed) - have, shutil.disk_usage(work).free
    if needed > free:
        raise GraftError(
            f"{work}: {needed / 1e6:.1f} MB are to be fetched, {free / 1e6:.1f} MB are free; make room first"
        )


def fetch(
    file: Listed, source: str | None, work: Path, pinned: dict[str, pins.Pin], table: Path, patience: Patience
) -> str:
    """Bring one file to work/NAME, verified, unless it is there whole. Gives its sha256."""
    path = work / file.name
    vouched = bool(pinned) or file.md5 is not None  # else an earlier folder's file of that size may be another
    if vouched and path.exists() and path.stat().st_size == file.size:
        found = digests(path)
        if file.md5 in (None, found["md5"]) and (not pinned or pinned[file.name].sha256 == found["sha256"]):
            print(f"{file.name}: there already, verified")
            return found["sha256"]
    part = part_of(path)
    if source is not None and local(source, "--from"):
        copy(file, part)
    else:
        download(file, [file.url], path, patience)
    found = digests(part)
    if file.md5 not in (None, found["md5"]):
        part.unlink()
        raise GraftError(f"{file.url}: its md5 is {found['md5']}, the record lists {file.md5}; it is damaged")
    if pinned and pinned[file.name].sha256 != found["sha256"]:
        part.unlink()
        raise pins.refusal(f"{file.name} has another sha256 than the pinned {pinned[file.name].sha256}", table)
    os.replace(part, path)
    path.with_name(path.name + ".part.etag").unlink(missing_ok=True)
    return found["sha256"]


def copy(file: Listed, part: Path) -> None:
    source = Path(file.url)
    if not source.is_file() or source.stat().st_size != file.size:
        raise GraftError(f"{source} is missing or has not the {file.size} bytes that the record lists")
    shutil.copyfile(source, part)


def digests(path: Path) -> dict[str, str]:
    with open(path, "rb") as stream:
        md5 = hashlib.file_digest(stream, "md5").hexdigest()
        stream.seek(0)
        return {"md5": md5, "sha256": hashlib.file_digest(stream, "sha256").hexdigest()}


def take_all_out(work: Path, archives: dict[str, str], fetched: Sequence[str]) -> None:
    """work/unpacked holds a folder per archive of this record, and nothing of another."""
    if not archives:
        raise no_archive(work, fetched)
    unpacked = work / "unpacked"
    for path in unpacked.iterdir() if unpacked.is_dir() else ():
        if path.is_dir() and path.name not in archives:
            shutil.rmtree(path)
    for name, sha256 in archives.items():
        take_out(work / name, sha256, unpacked / name)


def take_out(archive: Path, sha256: str, folder: Path) -> None:
    """Unpack, unless this very archive is unpacked already."""
    marker = folder.with_name(folder.name + MARKER)
    if folder.is_dir() and marker.is_file() and marker.read_text() == sha256:
        return
    marker.unlink(missing_ok=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    unpack(archive, folder)
    marker.write_text(sha256)


def arrange(classes: dict[str, Path], out: Path) -> None:
    """data/published/NAME/CLASS as hard links to the unpacked files, each class whole or not at all. A class that is
    not among these goes: an earlier run knew it from another record, or by another name."""
    for name, folder in sorted(classes.items()):
        unfinished, target = out / f".{name}.tmp", out / name
        shutil.rmtree(unfinished, ignore_errors=True)
        shutil.copytree(folder, unfinished, copy_function=link)
        shutil.rmtree(target, ignore_errors=True)
        unfinished.rename(target)
        print(f"{target}: {len(list((target / 'rgb').iterdir()))} images, {len(list((target / 'ss').iterdir()))} masks")
    for path in sorted(set(out.iterdir()) - {out / name for name in classes}):
        if not path.is_symlink() and (path / "rgb").is_dir() and (path / "ss").is_dir():
            shutil.rmtree(path)
            print(f"{path}: removed, the record has no such class")


def link(source: str, target: str) -> None:
    """A hard link costs no room; some file systems have none."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


@contextlib.contextmanager
def sentences(work: Path) -> Iterator[None]:
    """What the file system refuses, in words."""
    try:
        yield
    except OSError as error:
        where = error.filename or work
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            words = "no space left on the disk or over quota; make room and run again, what was fetched is kept"
        elif error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
            words = "it cannot be written; make the folder writable, or clone the repo to a place that is"
        else:
            raise
        raise GraftError(f"{where}: {words}") from error


def _said(text: str) -> tuple[str, str]:
    name, equals, path = text.partition("=")
    if not equals or not path:
        raise GraftError(f"--class {text}: write it as bus=path/of/the/folder")
    LABELS.id(name)
    return name, path


def parser() -> argparse.ArgumentParser:
    result = argparse.ArgumentParser(
        prog="python -m stages.fetch", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    result.add_argument("name", choices=sorted(RECORDS), help="what to fetch")
    result.add_argument(
        "--from", dest="source", metavar="PLACE",
        help="instead of Zenodo: a folder, file:///..., or an http mirror of such a folder with its record.json",
    )  # fmt: skip
    result.add_argument("--record", type=int, metavar="N", help="another record of the same layout")
    result.add_argument("--api", default=API, metavar="URL", help="where records are asked for (default: %(default)s)")
    result.add_argument(
        "--class", dest="classes", action="append", default=[], metavar="NAME=FOLDER",
        help="which class a folder of the record holds, where its path does not say",
    )  # fmt: skip
    result.add_argument(
        "--wait", type=float, default=1.0, metavar="S", help="seconds before the first retry; doubles (default: 1)"
    )
    return result


if __name__ == "__main__":
    main()
