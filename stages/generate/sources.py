"""Where the prompts of a class come from: `generate.source`, a folder with one file per class.

What the file <class>.yaml holds decides: the keys of a grammar (grammar.py), `captions` (captions.py), or `cutouts`
that were made elsewhere (published.py). Another kind is another entry of `read`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from stages.generate import published
from stages.generate.published import Published
from stages.parts.errors import GraftError
from stages.parts.prompts import captions, grammar
from stages.parts.prompts import prompt as prompts
from stages.parts.prompts.entries import table, text
from stages.parts.prompts.prompt import Prompt


@dataclass(frozen=True)
class Source:
    """The prompts of one class: `draw` gives that of a seed, `negative` is the negative prompt of all, `embedding`
    the file of a learned embedding of the class, which takes the place of the attribution texts."""

    name: str
    word: str
    negative: str
    draw: Callable[[int], Prompt]
    embedding: Path | None


def cutouts(folder: str, name: str) -> Published | None:
    """The published cutouts that the class's file points to; None for a file of prompts."""
    path = Path(folder) / f"{name}.yaml"
    content = table(_text(path, name), str(path))
    return published.parse(content, path, name) if "cutouts" in content else None


def read(folder: str, name: str) -> Source:
    """The prompts of a class. GraftError, one sentence with file and key, for anything that cannot be one."""
    path = Path(folder) / f"{name}.yaml"
    content = table(_text(path, name), str(path))
    embedding = path.parent / text(content["embedding"], "embedding", str(path)) if "embedding" in content else None
    if embedding is not None and not embedding.is_file():
        raise GraftError(f"{path}: embedding names no file ({embedding}); make it, or remove the key")
    if "captions" in content:
        rows = captions.parse(content, path, name)
        return Source(name, rows.word, rows.negative, partial(captions.draw, rows), embedding)
    rules = grammar.parse(content, str(path), name)
    return Source(name, rules.word, rules.negative, partial(prompts.draw, rules), embedding)


def _text(path: Path, name: str) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise GraftError(
            f"{path}: no such file; write the prompt grammar of {name} (data/prompts has examples), or correct "
            f"generate.source in params.yaml"
        ) from None
    except UnicodeDecodeError:
        raise GraftError(f"{path} is not UTF-8 text; save it as such") from None
