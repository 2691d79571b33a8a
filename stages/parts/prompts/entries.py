"""The entries of a class's file of prompts, checked one by one: GraftError names the file, the key and the fix."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from stages.parts.errors import GraftError
from stages.parts.store.documents import shown, yaml_table

EMPTY_ALLOWED = ("style", "negative")


def table(text: str, file: str) -> dict[Any, Any]:
    """The table that the text of a YAML 1.2 file holds."""
    return yaml_table(text, file, "a table: a prompt grammar with the keys subtypes, places, template")


def known(content: dict[Any, Any], keys: Collection[str], file: str) -> None:
    """Raise for a key that is none of `keys`."""
    if unknown := sorted(str(key) for key in content if key not in keys):
        raise GraftError(f"{file}: unknown key {unknown[0]}; the keys are {', '.join(keys)}")


def texts(value: object, key: str, file: str) -> tuple[str, ...]:
    """A list of at least one text."""
    if not isinstance(value, list) or not value:
        raise GraftError(f"{file}: {key} must be a list with at least one entry (it is {shown(value)})")
    return tuple(text(entry, f"{key}[{i}]", file) for i, entry in enumerate(value))


def text(value: object, key: str, file: str) -> str:
    """A text; only a style and a negative prompt may be empty."""
    if not isinstance(value, str):
        raise GraftError(f"{file}: {key} must be text (it is {shown(value)}); put it in quotes")
    if not value.strip() and key not in EMPTY_ALLOWED:
        raise GraftError(f"{file}: {key} is empty; write a text or remove it")
    return value
