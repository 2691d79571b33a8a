"""YAML, JSON and CSV that others may have written: what they hold, or one sentence why nobody can read it."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from stages.parts.errors import GraftError

MOST_VALUES = 100_000  # of one document: a file of aliases of aliases stands for billions
DEEPEST = 50
SHOWN = 80  # letters of a value in a sentence


def yaml_table(text: str, path: Path | str, wanted: str) -> dict[str, Any]:
    """The table that a text in YAML 1.2 holds. GraftError naming `path` when it is no YAML, no table (`wanted` says of
    what), too deep, too large once its aliases are followed, or holds what is no text."""
    try:
        found = YAML(typ="safe", pure=True).load(text)
    except YAMLError as error:
        raise GraftError(f"{path} is no valid YAML: {' '.join(str(error).split())}") from None
    except (
        Exception
    ) as error:  # a date, a number or a tag without sense: the reader lets through what Python's types raise
        complaint = " ".join(str(error).split())[:200] or type(error).__name__
        raise GraftError(f"{path} holds a value that cannot be read ({complaint}); correct it") from None
    if not isinstance(found, dict):
        raise GraftError(f"{path} must be {wanted}")
    _check(found, path)
    return found


def _check(document: object, path: Path | str) -> None:
    """GraftError for a document that nobody could walk or write down again."""
    waiting, seen = [(document, 0)], 0
    while waiting:
        value, depth = waiting.pop()
        seen += 1
        if depth > DEEPEST or seen > MOST_VALUES:
            raise GraftError(f"{path} is nested too deeply, or its aliases stand for too many values; write it plainly")
        if isinstance(value, str):
            if "\0" in value or any("\ud800" <= letter <= "\udfff" for letter in value):
                raise GraftError(f"{path} holds {value[:SHOWN]!r}, which is no text; correct it")
        elif isinstance(value, Mapping):
            waiting += [(part, depth + 1) for pair in value.items() for part in pair]
        elif isinstance(value, list | tuple | set):
            waiting += [(part, depth + 1) for part in value]


def shown(value: object) -> str:
    """A value as a sentence may hold it: at most SHOWN letters."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # an integer of more digits than Python writes
        return "a value too long to be shown"
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 3]}..."


def read_text(path: Path, again: str) -> str:
    """A file of UTF-8 text. GraftError, ending in `again`, when it is missing or none."""
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise GraftError(f"{path} is missing; {again}") from None
    except UnicodeDecodeError:
        raise GraftError(f"{path} is no UTF-8 text; {again}") from None


def read_json(path: Path, again: str) -> dict[str, Any]:
    """The table that a JSON file holds. GraftError, ending in `again`, when it is missing, damaged or no table."""
    try:
        content = json.loads(read_text(path, again))
        _check(content, path)
    except (ValueError, RecursionError):
        raise GraftError(f"{path} is no valid JSON; {again}") from None
    if not isinstance(content, dict):
        raise GraftError(f"{path} holds no table; {again}")
    return content


def read_csv(path: Path, columns: Sequence[str], again: str) -> list[dict[str, str]]:
    """The rows of a CSV file, column -> cell. GraftError, ending in `again`, when the file is missing or damaged, lacks
    one of the columns, or has a row with more or fewer cells than columns."""
    try:
        reader = csv.DictReader(io.StringIO(read_text(path, again), newline=""), restval=None)
        rows: list[dict[str, Any]] = list(reader)
    except csv.Error:
        raise GraftError(f"{path} is no table; {again}") from None
    if missing := [column for column in columns if column not in (reader.fieldnames or ())]:
        raise GraftError(f"{path} has no column {', '.join(missing)}; {again}")
    for number, row in enumerate(rows, 2):
        if None in row or None in row.values():
            raise GraftError(f"{path}:{number} has other cells than columns; {again}")
    return rows
