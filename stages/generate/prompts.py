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

from collections.abc import Mapping
from dataclasses import dataclass
from string import Formatter
from typing import TYPE_CHECKING

from stages.generate.grammar import Grammar
from stages.generate.streams import stream
from stages.params import GraftError

if TYPE_CHECKING:
    from transformers import CLIPTokenizer


@dataclass(frozen=True)
class Prompt:
    """One drawn prompt. `word` is the half-open range of characters [start, end) that the class word takes in
    `attribution_text`."""

    prompt: str
    attribution_text: str
    word: tuple[int, int]
    subtype: str
    place: str


def draw(grammar: Grammar, seed: int) -> Prompt:
    """The prompt of sample (grammar.name, seed): subtype and place, uniform and independent as in UCG."""
    rest, subtype = divmod(stream(grammar.name, seed, "prompt"), len(grammar.subtypes))
    parts = {
        "subtype": grammar.subtypes[subtype],
        "place": grammar.places[rest % len(grammar.places)],
        "style": grammar.style,
        "word": grammar.word,
    }
    prompt, _ = _render(grammar.template, parts)
    attribution_text, ranges = _render(grammar.attribution, parts)
    return Prompt(prompt, attribution_text, ranges["word"], parts["subtype"], parts["place"])


def word_tokens(tokenizer: CLIPTokenizer, prompt: Prompt) -> tuple[int, ...]:
    """Indices of the attribution text's tokens (start-of-text is 0) that overlap the class word, ascending.

    A word that the tokenizer has whole gives one index, a rarer one several. Raises GraftError when no token
    of it is left, which takes a text that is longer than the text encoder reads."""
    start, end = prompt.word
    encoded = tokenizer(prompt.attribution_text, truncation=True, return_offsets_mapping=True)
    offsets = enumerate(encoded["offset_mapping"])
    if tokens := tuple(index for index, (first, last) in offsets if first < end and last > start):
        return tokens
    raise GraftError(
        f"the attribution text {prompt.attribution_text!r} is longer than the {tokenizer.model_max_length} "
        f"tokens that the text encoder reads, and the class word lies behind them; put {{word}} first in the "
        f"key `attribution` of the grammar file"
    )


def _render(template: str, parts: Mapping[str, str]) -> tuple[str, dict[str, tuple[int, int]]]:
    """The filled template, and for each field the half-open range of characters that it took."""
    text, ranges = "", {}
    for literal, field, _, _ in Formatter().parse(template):
        text += literal
        if field is not None:
            ranges[field] = (len(text), len(text) + len(parts[field]))
            text += parts[field]
    return text, ranges
