"""Keys: hashes over everything that made a sample, so that a run can tell what it may keep."""

import hashlib
import json
import re
from pathlib import Path
from typing import Any

from stages.parts.errors import GraftError

LONGEST = 60  # with the split or the class before it and a suffix behind, a name in a tar may have 100 letters


def canonical(value: Any) -> str:
    """JSON, keys sorted, no spaces: one text per value. TypeError for what JSON lacks, ValueError for NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def slug(name: str) -> str:
    """What a uid may hold of a name: letters, digits, "-" and "_", at most 60; a longer one ends in a hash of it."""
    plain = re.sub(r"[^A-Za-z0-9_-]", "_", name)
    return plain if len(plain) <= LONGEST else f"{plain[:50]}-{hashlib.sha256(name.encode()).hexdigest()[:9]}"


def key(**parts: Any) -> str:
    """16 hex digits over the named parts (JSON values: give a pydantic section as `section.model_dump()`)."""
    return hashlib.sha256(canonical(parts).encode()).hexdigest()[:16]


def file_hash(path: Path | str) -> str:
    """64 hex digits over a file's bytes, or over the relative names and bytes of every file in a folder.

    Raises GraftError when there is no such path."""
    path = Path(path)
    if path.is_file():
        return _hashes(path.parent, [path])[0][1]
    if not path.is_dir():
        raise GraftError(f"{path}: no such file or folder; correct the path or fetch it (`dvc pull`)")
    return hashlib.sha256(
        canonical(_hashes(path, [file for file in path.rglob("*") if file.is_file()])).encode()
    ).hexdigest()


def _hashes(folder: Path, files: list[Path]) -> list[list[str]]:
    """[name relative to the folder, sha256] of each file, sorted by name."""
    hashes = []
    for file in files:
        with open(file, "rb") as stream:
            hashes.append([file.relative_to(folder).as_posix(), hashlib.file_digest(stream, "sha256").hexdigest()])
    return sorted(hashes)
