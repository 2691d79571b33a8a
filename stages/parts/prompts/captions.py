"""Prompts from captions: Dataset Diffusion's, each with the names of its classes appended.

    captions: captions.csv      a table beside this file, a text file with one caption per line, or a list here
    word: train                 the class as the prompt says it; default: the name of the class
    negative: "blurry"

Nguyen et al. (NeurIPS 2023): the model reads "<caption>; <class words>", and the attention is recorded of the class
words alone, separated by spaces. A table has a column `caption` and may have a column `classes`, names separated
by ";"; then only the captions that name the class are used, and all their classes are appended. Otherwise the
class alone is. DVC does not watch a file that `captions` or `embedding` names: after a change there, run
`dvc repro -s -f generate`.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stages.parts.errors import GraftError
from stages.parts.prompts.entries import known, text, texts
from stages.parts.prompts.prompt import Prompt

KEYS = ("captions", "word", "negative", "embedding")
COLUMNS = ("caption", "classes")
TABLE = ".csv"


@dataclass(frozen=True)
class Captions:
    """The captions of one class, each with its class words, `word` among them."""

    word: str
    negative: str
    rows: tuple[tuple[str, tuple[str, ...]], ...]


def parse(content: dict[Any, Any], path: Path, class_name: str) -> Captions:
    """Captions from the table of their YAML file. GraftError for a wrong key, and when no caption is left."""
    known(content, KEYS, str(path))
    word = text(content.get("word", class_name), "word", str(path))
    negative = text(content.get("negative", ""), "negative", str(path))
    listed = content["captions"]
    if isinstance(listed, str):
        rows = _read(path.parent / listed, word)
    else:
        rows = [(caption, (word,)) for caption in texts(listed, "captions", str(path))]
    kept = tuple((caption, words) for caption, words in rows if word in words)
    if not kept:
        raise GraftError(f"{path}: captions gives no caption for {word!r}; add one, or correct the class words")
    return Captions(word, negative, kept)


def draw(captions: Captions, seed: int) -> Prompt:
    """The prompt of sample `seed`: the captions in turn."""
    caption, words = captions.rows[seed % len(captions.rows)]
    class_prompt = " ".join(words)
    start = len(" ".join((*words[: words.index(captions.word)], "")))
    span = (start, start + len(captions.word))
    shift = len(caption) + len("; ")
    return Prompt(f"{caption}; {class_prompt}", class_prompt, span, (span[0] + shift, span[1] + shift))


def _read(path: Path, word: str) -> list[tuple[str, tuple[str, ...]]]:
    """(caption, class words) of each row of a table or line of a text file; blank ones are left out."""
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:  # as Excel saves it, or without its mark
            if path.suffix != TABLE:
                return [(line.strip(), (word,)) for line in file if line.strip()]
            reader = csv.DictReader(file)
            if COLUMNS[0] not in (reader.fieldnames or ()):
                raise GraftError(f"{path} has no column {COLUMNS[0]}; name the column of the captions so")
            rows = [(row[COLUMNS[0]] or "", row.get(COLUMNS[1], word) or "") for row in reader]
    except FileNotFoundError:
        raise GraftError(f"{path}: no such file; correct the key captions that names it") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise GraftError(f"{path} is no table of UTF-8 text ({error}); save it as such") from None
    split = ((caption.strip(), tuple(name.strip() for name in names.split(";"))) for caption, names in rows)
    return [(caption, words) for caption, words in split if caption]
