"""The words of a class's prompts that a small model has never been told."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from stages.generate.sources import Source
from stages.parts.store.documents import read_json

# A tokenizer of CLIP's has 49 408 tokens and spells with them whatever it is given. One taught on a small world has the
# words of that world as whole tokens; what it must spell, its model has never seen.
SMALL = 10_000
DRAWS = 200  # prompts that are looked at


def unknown_words(model: Path, source: Source) -> list[str]:
    """The words of the class's prompts that the small model spells letter by letter, sorted; none for a large model, or
    one without a vocabulary. GraftError for a vocabulary that is no JSON."""
    known = vocabulary(model / "tokenizer")
    if not 0 < len(known) < SMALL:
        return []
    said = " ".join(source.draw(seed).prompt for seed in range(DRAWS)).lower()
    return sorted({word for word in re.findall(r"[^\W\d_]+", said) if f"{word}</w>" not in known})


def vocabulary(tokenizer: Path) -> Mapping[str, int]:
    """Token -> id, in either layout of transformers; empty where there is neither."""
    back = "restore the model's folder"
    if (tokenizer / "vocab.json").is_file():
        return dict(read_json(tokenizer / "vocab.json", back))
    whole = tokenizer / "tokenizer.json"
    return dict(read_json(whole, back)["model"]["vocab"]) if whole.is_file() else {}
