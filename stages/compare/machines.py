"""In what this machine's outputs differ from those that are locked, output by output.

Bytes are equal between machines as far as threads and instructions are the same (parts/machine.py). Where they are
not, a number says how far it is: how many samples of how many, grey levels, a share of an array's largest value.
"""

from __future__ import annotations

import csv
import json
import subprocess
import tempfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from ruamel.yaml import YAML
from safetensors.numpy import load_file

from stages.parts.errors import GraftError
from stages.parts.store.pictures import npy_array, png_array
from stages.parts.store.shards import INDEX, Shards

EQUAL = "equal"


def differences(revision: str) -> Iterator[tuple[str, str]]:
    """(output, "equal" or in what it differs) of each output in the dvc.lock of a git revision.

    The reference comes from DVC's cache, or from a remote that has it. GraftError when the revision has no lock."""
    from dvc.api import DVCFileSystem  # here, for it takes a while to load

    there, here = lock(revision), lock(None)
    files = DVCFileSystem(".", rev=revision)
    for path, md5 in there.items():
        if here.get(path) == md5:
            yield path, EQUAL
        elif not Path(path).exists():
            yield path, "not here"
        else:
            with tempfile.TemporaryDirectory() as folder:
                files.get(path, f"{folder}/reference", recursive=True)
                yield path, difference(Path(folder, "reference"), Path(path))


def lock(revision: str | None) -> dict[str, str]:
    """Output -> md5 of dvc.lock, of the working tree (None) or of a git revision."""
    text = Path("dvc.lock").read_text()
    if revision is not None:
        shown = subprocess.run(["git", "show", f"{revision}:dvc.lock"], capture_output=True, text=True)
        if shown.returncode:
            raise GraftError(f"git has no dvc.lock at {revision!r}; name a commit that has one")
        text = shown.stdout
    stages = YAML(typ="safe").load(text)["stages"]
    return {out["path"]: out["md5"] for stage in stages.values() for out in stage.get("outs", [])}


def difference(there: Path, here: Path) -> str:
    """In what a file or a folder differs from its reference, in words."""
    if here.is_dir():
        return of_folders(there, here)
    kind: Any = {".safetensors": load_file, ".csv": table, ".json": numbers}.get(here.suffix)
    if there.read_bytes() == here.read_bytes():
        return EQUAL
    return of_arrays(kind(there), kind(here)) if kind else "other bytes"


def of_samples(there: Shards, here: Shards) -> str:
    """How many samples differ, and each kind of their files by how much at most; "equal" when even their rows are."""
    if there.rows == here.rows:
        return EQUAL
    uids, common = {row["uid"] for row in there.rows}, {row["uid"] for row in here.rows}
    lacking = [f"{len(uids ^ common)} samples are in one alone"] if uids ^ common else []
    differing, most = 0, dict[str, float]()
    for uid in sorted(uids & common):
        ours, theirs = here.read(uid), there.read(uid)
        changed = [name for name in ours.keys() | theirs.keys() if ours.get(name) != theirs.get(name)]
        differing += bool(changed)
        for name in changed:
            most[name] = max(most.get(name, 0.0), of_files(theirs.get(name), ours.get(name), name))
    if not differing:
        return "; ".join([*lacking, "equal samples, made by other code or params"])
    told = [f"{name} by {_shown(name, value)}" for name, value in sorted(most.items())]
    return "; ".join([*lacking, f"{differing} of {len(uids & common)} samples: {', '.join(told)}"])


def of_files(there: bytes | None, here: bytes | None, name: str) -> float:
    """The largest difference of two pictures, in grey levels, or of two arrays, as a share of the largest value;
    infinite when one is missing, or they differ in shape."""
    read = {"png": png_array, "npy": npy_array}.get(name.rpartition(".")[2])
    if there is None or here is None or read is None:
        return np.inf
    a, b = read(there).astype(np.float64), read(here).astype(np.float64)
    if a.shape != b.shape:
        return np.inf
    away = float(np.abs(a - b).max(initial=0.0))
    return away if name.endswith("png") else away / max(float(np.abs(a).max(initial=0.0)), np.finfo(float).tiny)


def _shown(name: str, value: float) -> str:
    return f"up to {value:.0f} levels" if name.endswith("png") else f"up to {value:.0e} of the largest value"


def of_folders(there: Path, here: Path) -> str:
    """Samples as samples, however deep their shards lie, every other file by itself; what is equal is passed over."""
    files = {path.relative_to(root) for root in (there, here) for path in root.rglob("*") if path.is_file()}
    shards = {file.parent for file in files if file.name == INDEX}
    told = []
    for name in sorted(shards | {file for file in files if not (file.parent in shards and _of_shards(file))}):
        a, b = there / name, here / name
        if not all((path / INDEX if name in shards else path).is_file() for path in (a, b)):
            words = "in one alone"
        else:
            words = of_samples(Shards(a), Shards(b)) if name in shards else difference(a, b)
        if words != EQUAL:
            told.append(words if name == Path() else f"{name.as_posix()}: {words}")
    return "; ".join(told) or EQUAL


def _of_shards(file: Path) -> bool:
    return file.suffix in (".tar", ".jsonl")


def of_arrays(there: Mapping[str, Any], here: Mapping[str, Any]) -> str:
    """The largest difference of two sets of named numbers or arrays, as a share of the reference's largest value."""
    if there.keys() != here.keys() or any(np.shape(there[name]) != np.shape(here[name]) for name in there):
        return "other names or shapes"
    worst, name = max((largest(here[name] - there[name]), name) for name in there)
    return f"by up to {worst:.3g} (largest value {max(map(largest, there.values())):.3g}; {name})"


def largest(array: Any) -> float:
    return float(np.abs(array).max(initial=0.0))


def table(path: Path) -> dict[str, Any]:
    """Column -> its cells, (n,) float64; a word is a number of its own below 1."""
    with open(path, newline="") as file:
        rows = list(csv.DictReader(file))
    columns = rows[0] if rows else {}
    return {name: np.array([_number(row[name]) for row in rows]) for name in columns}


def numbers(path: Path) -> dict[str, Any]:
    """Dotted key -> number of a JSON file."""
    found: dict[str, Any] = {}

    def walk(value: Any, key: str) -> None:
        pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        for name, inner in pairs:
            walk(inner, f"{key}.{name}" if key else str(name))
        if isinstance(value, int | float):
            found[key] = np.float64(value)

    walk(json.loads(path.read_bytes()), "")
    return found


def _number(cell: str) -> float:
    try:
        return float(cell)
    except ValueError:
        return zlib.crc32(cell.encode()) / 2**32
