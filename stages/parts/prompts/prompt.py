"""The prompt that a seed draws from the grammar of its class, and the text whose attention map is recorded.

UCG builds the attribution text by searching the class word in the finished prompt, which turns 20 of its 400
train prompts ("... at the train station") into texts about a station. Here a prompt and its attribution text
are two renderings of the same drawn parts, so where the class word stands is known, not searched.

What should stand around the class word? CLIP's text model is causal: the embedding of a word knows its position
and what comes before it, and nothing behind it. Words behind it are only rivals in OVAM's softmax, and rivals that
know the class themselves. A model has met class words in sentences such as "a photo of a train", so that is the
default attribution text. Measured on held-out pages that the miniature drew again, a third of the way through
its training (mean IoU of truck, bus, train at the best threshold): 0.62 for the default, 0.61 with the place
behind it, 0.24 for the word alone, 0.18 for UCG's layout "{word} {place}{style}", no more than marking every pixel.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from string import Formatter
from typing import TYPE_CHECKING

from stages.parts.errors import GraftError
from stages.parts.prompts.grammar import Grammar
from stages.parts.store.streams import sample_stream

if TYPE_CHECKING:
    from transformers import CLIPTokenizer


Range = tuple[int, int]


@dataclass(frozen=True)
class Prompt:
    """One drawn prompt. `word` and `subject` are half-open ranges of characters [start, end): the one that the class
    word takes in `attribution_text`, and the one of what is asked for in `prompt`."""

    prompt: str
    attribution_text: str
    word: Range
    subject: Range
    subtype: str = ""
    place: str = ""


def draw(grammar: Grammar, seed: int) -> Prompt:
    """The prompt of sample (grammar.name, seed): subtype and place, uniform and independent as in UCG."""
    rest, subtype = divmod(sample_stream(grammar.name, seed, "prompt"), len(grammar.subtypes))
    parts = {
        "subtype": grammar.subtypes[subtype],
        "place": grammar.places[rest % len(grammar.places)],
        "style": grammar.style,
        "word": grammar.word,
    }
    prompt, asked = _render(grammar.template, parts)
    attribution_text, ranges = _render(grammar.attribution, parts)
    subject = _within(asked["subtype"], prompt, grammar.word)
    return Prompt(prompt, attribution_text, ranges["word"], subject, parts["subtype"], parts["place"])


def word_tokens(tokenizer: CLIPTokenizer, prompt: Prompt) -> tuple[int, ...]:
    """Indices of the attribution text's tokens (start-of-text is 0) that overlap the class word, ascending.

    A word that the tokenizer has whole gives one index, a rarer one several. Raises GraftError when no token
    of it is left, which takes a text that is longer than the text encoder reads."""
    return _tokens(tokenizer, prompt.attribution_text, prompt.word, "attribution text", "attribution")


def subject_tokens(tokenizer: CLIPTokenizer, prompt: Prompt) -> tuple[int, ...]:
    """The same of the prompt itself and its subject: the class word where the subtype has it, else the subtype."""
    return _tokens(tokenizer, prompt.prompt, prompt.subject, "prompt", "template")


def cut(tokenizer: CLIPTokenizer, text: str) -> str:
    """The end of a text that the text encoder does not read, "" when it reads all of it."""
    offsets = tokenizer(text, return_offsets_mapping=True, verbose=False)["offset_mapping"]
    last = tokenizer.model_max_length - 1  # the place of the end-of-text token
    return text[offsets[last][0] :] if len(offsets) > last + 1 else ""


def _tokens(tokenizer: CLIPTokenizer, text: str, span: Range, what: str, key: str) -> tuple[int, ...]:
    start, end = span
    offsets = enumerate(tokenizer(text, truncation=True, return_offsets_mapping=True)["offset_mapping"])
    if tokens := tuple(index for index, (first, last) in offsets if first < end and last > start):
        return tokens
    raise GraftError(
        f"the {what} {text!r} is longer than the {tokenizer.model_max_length} tokens that the text encoder reads, "
        f"and the class word lies behind them; put it first in the key `{key}` of the class's file of prompts"
    )


def _within(part: Range, text: str, word: str) -> Range:
    """The last place of a whole word inside a part of a text; the part itself when the word is not there."""
    start, end = part
    found = list(re.finditer(rf"\b{re.escape(word)}\b", text[start:end]))
    return (start + found[-1].start(), start + found[-1].end()) if found else part


def _render(template: str, parts: Mapping[str, str]) -> tuple[str, dict[str, tuple[int, int]]]:
    """The filled template, and for each field the half-open range of characters that it took."""
    text, ranges = "", {}
    for literal, field, _, _ in Formatter().parse(template):
        text += literal
        if field is not None:
            ranges[field] = (len(text), len(text) + len(parts[field]))
            text += parts[field]
    return text, ranges
