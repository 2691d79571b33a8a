"""A record's own file list, as Zenodo's API gives it, or as a mirror or a folder holds it."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stages.parts.errors import GraftError

RECORD_NAME = "record.json"
MD5 = re.compile(r"md5:[0-9a-f]{32}")


@dataclass(frozen=True)
class Listed:
    """One file of a record; `md5` is None where only a folder's listing vouches for it. `url` may be a path."""

    name: str
    size: int
    md5: str | None
    url: str


def parse(content: bytes, where: str) -> list[Listed]:
    """The files of an API answer: `files` of a record, or `entries` of its file list, sorted by name.

    Raises GraftError that says what was found when it is anything else, when no file is public, and when a name
    is no plain file name: it comes from outside, and becomes a path."""
    try:
        answer = json.loads(content)
        found = answer.get("files") or answer.get("entries") or []
        listed = [_listed(entry) for entry in found]
    except (ValueError, AttributeError, KeyError, TypeError, RecursionError) as error:
        raise GraftError(
            f"{where}: this is no record that Zenodo's API gives ({type(error).__name__}: {str(error)[:200]}); "
            f"expected JSON with `files`, each with key, size, checksum md5:... and links.self"
        ) from None
    if not listed:
        keys = ", ".join(sorted(answer)) or "nothing"
        raise GraftError(f"{where}: the record lists no public file (it holds {keys}); is it restricted or withdrawn?")
    for file in listed:
        check_name(file.name, where)
    if len({file.name.casefold() for file in listed}) < len(listed):
        raise GraftError(f"{where}: the record lists two files of one name")
    return sorted(listed, key=lambda file: file.name)


def _listed(entry: dict[str, Any]) -> Listed:
    name, size, checksum, links = entry["key"], entry["size"], entry["checksum"], entry["links"]
    if not MD5.fullmatch(checksum) or type(size) is not int or not 0 <= size < 2**63:
        raise ValueError(f"{name}: size {size}, checksum {checksum}")
    return Listed(str(name), size, checksum.removeprefix("md5:"), str(links.get("content") or links["self"]))


def check_name(name: str, where: str) -> None:
    """A plain file name of printable characters; never a path, never hidden, never one of ours."""
    if not name.isprintable() or set(name) & set('/\\:*?"<>|') or name.startswith(".") or len(name.encode()) > 200:
        raise GraftError(f"{where}: {name!r} is no plain file name; nothing of this record is fetched")
    if name.endswith(".part") or name in (RECORD_NAME, "unpacked"):
        raise GraftError(f"{where}: {name!r} is a name that fetch keeps for itself")


def in_folder(folder: Path) -> list[Listed]:
    """The files of a local folder: by its record.json where it has one, else every file in it, without an md5."""
    if not folder.is_dir():
        raise GraftError(f"{folder}: no such folder to fetch from")
    saved = folder / RECORD_NAME
    if saved.is_file():
        listed = parse(saved.read_bytes(), str(saved))
        return [Listed(file.name, file.size, file.md5, str(folder / file.name)) for file in listed]
    found = [path for path in sorted(folder.iterdir()) if path.is_file() and not path.name.startswith(".")]
    if not found:
        raise GraftError(f"{folder} holds no file; put the record's files there")
    for path in found:
        check_name(path.name, str(folder))
    return [Listed(path.name, path.stat().st_size, None, str(path)) for path in found]
