"""Captions from where users have them: photos' rows, a text file, CSV or JSON Lines with classes, a published file."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stages.parts.errors import GraftError
from stages.parts.prompts.class_words import parsed, without_tail
from stages.parts.store.shards import INDEX, read_index

TEXT, TABLE, LINES, PUBLISHED = ".txt", ".csv", ".jsonl", ".json"


@dataclass(frozen=True)
class Caption:
    """A caption, and the classes that its source names for it, in order, repeats kept; None: to be mined."""

    text: str
    classes: tuple[str, ...] | None = None


def read_captions(source: Path, names: Sequence[str]) -> list[Caption]:
    """The captions of a source, in its order; blank ones are left out. names: the classes that can be drawn.

    A folder of samples (photos): the `caption` of each row, and of its labels nothing. FILE.txt: one a line. FILE.csv:
    columns `caption` and, if wanted, `classes`, separated by ";". FILE.jsonl: objects with `caption` and, if wanted,
    `classes`, a list. FILE.json: published, a list of objects with `filename`, `caption`, `class_prompt`. GraftError,
    one sentence with file and line, for anything else, and for a class that is none of `names`."""
    if source.is_dir():
        return _of_samples(source)
    if not source.is_file():
        raise GraftError(f"{source}: no such file or folder of captions; correct dataset_diffusion.captions.source")
    readers = {TEXT: _lines, TABLE: _table, LINES: _json_lines, PUBLISHED: _published}
    if source.suffix not in readers:
        raise GraftError(f"{source}: captions come from a folder of photos or from {', '.join(readers)}; rename it")
    try:
        found = list(readers[source.suffix](source, names))
    except (UnicodeDecodeError, csv.Error, json.JSONDecodeError) as error:
        raise GraftError(f"{source} is no {source.suffix} file of UTF-8 text ({error}); save it as such") from None
    return [caption for caption in found if caption.text]


def _of_samples(folder: Path) -> list[Caption]:
    rows = read_index(folder)
    if lacking := [row["uid"] for row in rows if not isinstance(row.get("caption"), str)]:
        raise GraftError(f"{folder / INDEX}: sample {lacking[0]} has no caption; name a folder or file that has some")
    return [Caption(row["caption"].strip()) for row in rows if row["caption"].strip()]


def _lines(path: Path, names: Sequence[str]) -> Iterator[Caption]:
    return (Caption(line.strip()) for line in path.read_text(encoding="utf-8-sig").splitlines())


def _table(path: Path, names: Sequence[str]) -> Iterator[Caption]:
    with open(path, encoding="utf-8-sig", newline="") as file:  # as Excel saves it, or without its mark
        reader = csv.DictReader(file)
        if "caption" not in (reader.fieldnames or ()):
            raise GraftError(f"{path} has no column caption; name the column of the captions so")
        for row in reader:
            listed = [name.strip() for name in (row.get("classes") or "").split(";") if name.strip()]
            given = _checked(listed, names, f"{path} line {reader.line_num}")
            yield Caption((row["caption"] or "").strip(), given or None)


def _json_lines(path: Path, names: Sequence[str]) -> Iterator[Caption]:
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if line.strip():
            where = f"{path} line {number}"
            row = _record(json.loads(line), ("caption",), where)
            listed = row.get("classes") or []
            if not isinstance(listed, list):
                raise GraftError(f"{where}: classes must be a list of names (it is {listed!r})")
            yield Caption(row["caption"].strip(), _checked(listed, names, where) or None)


def _published(path: Path, names: Sequence[str]) -> Iterator[Caption]:
    records = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(records, list):
        raise GraftError(f"{path} must be a list of records with filename, caption and class_prompt")
    for number, entry in enumerate(records, 1):
        where = f"{path} record {number}"
        row = _record(entry, ("caption", "class_prompt"), where)
        found = parsed(row["class_prompt"], names, where)
        yield Caption(without_tail(row["caption"].strip(), row["class_prompt"].strip()), tuple(found))


def _record(entry: Any, keys: Sequence[str], where: str) -> dict[str, Any]:
    if not isinstance(entry, dict) or not all(isinstance(entry.get(key), str) for key in keys):
        raise GraftError(f"{where} must be an object with the texts {', '.join(keys)}")
    return entry


def _checked(listed: Sequence[Any], names: Sequence[str], where: str) -> tuple[str, ...]:
    if unknown := [name for name in listed if name not in names]:
        raise GraftError(f"{where}: there is no class {unknown[0]!r}; the classes are {', '.join(names)}")
    return tuple(listed)
