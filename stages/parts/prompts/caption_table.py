"""The table of pictures to draw, one row of JSON a line: what a picture's text is, and where its class words stand."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from stages.parts.errors import GraftError
from stages.parts.prompts.class_words import Span
from stages.parts.store.keys import canonical


@dataclass(frozen=True)
class Entry:
    """One picture. uid: of the sample; space: the name of the label space of the classes; caption: without class words;
    classes: in the class prompt's order, repeats kept, at least one; spans: the class prompt's tokens of each."""

    uid: str
    space: str
    caption: str
    classes: tuple[str, ...]
    class_prompt: str
    spans: tuple[Span, ...]


def table_text(entries: Sequence[Entry]) -> str:
    """The file's content: equal entries, equal text."""
    return "".join(canonical(asdict(entry)) + "\n" for entry in entries)


def read_table(path: Path, space: str) -> list[Entry]:
    """The entries of a table. GraftError when it is missing or damaged, or is of another label space than `space`."""
    again = "run `python -m stages.dataset_diffusion.captions`"
    try:
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        entries = [
            Entry(
                row["uid"], row["space"], row["caption"], tuple(row["classes"]), row["class_prompt"],
                tuple(tuple(span) for span in row["spans"]),
            )
            for row in rows
        ]  # fmt: skip
    except FileNotFoundError:
        raise GraftError(f"{path}: no such table of captions; {again}") from None
    except (ValueError, TypeError, KeyError):
        raise GraftError(f"{path} is no table of captions; {again}") from None
    if other := next((entry.space for entry in entries if entry.space != space), None):
        raise GraftError(
            f"{path} is a table of the label space {other}, and params.yaml dataset_diffusion.space is {space}; {again}"
        )
    return entries
