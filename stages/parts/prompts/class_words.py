"""Class-prompt appending (Nguyen et al., Dataset Diffusion, NeurIPS 2023, section 3.2).

The model reads "<caption>; <class words>", and the attention is recorded of the class words alone, a text of their own
(the class prompt): names separated by spaces, in the order of mention, with repeats. Where a word stands is found by
its characters, for a class name may be several words and a word several tokens ("aeroplane" is two of CLIP's).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

from stages.parts.errors import GraftError
from stages.parts.prompts.aliases import plural

if TYPE_CHECKING:
    from transformers import CLIPTokenizer

Span = tuple[int, ...]
SEPARATOR = "; "
BEFORE = (  # words that end what a thing is called, seen from it: "two people on the [red bus]"
    "a an the one two three four five six seven eight nine ten some several many and or of on in at with by near "
    "beside behind under over from to next is are"
)


def mentioned(caption: str, aliases: Mapping[str, str]) -> list[str]:
    """The classes that a caption mentions, in its order, one for each mention; [] when there is none.

    aliases: phrase in lower case -> class, "" for a phrase that means none. Whole words count, capitals do not, and of
    two phrases that begin at one place the longer: in "a hot dog" there is no dog."""
    found = _pattern(tuple(sorted(aliases, key=lambda phrase: (-len(phrase), phrase)))).finditer(caption.lower())
    return [name for match in found if (name := aliases[" ".join(match.group().split())])]


def one_by_one(caption: str, aliases: Mapping[str, str]) -> list[tuple[str, str]]:
    """For each mention of a class a text about one object of it alone, and the class: "two box trucks and a bus in the
    snow" -> "a photo of a box truck in the snow" (truck), "a photo of a bus in the snow" (bus). [] without a mention.

    What stands before a mention, up to a comma or one of the words BEFORE, goes with it; what follows the last mention
    goes with all."""
    caption = " ".join(caption.split())
    pattern = _pattern(tuple(sorted(aliases, key=lambda phrase: (-len(phrase), phrase))))
    found = [match for match in pattern.finditer(caption.lower()) if aliases[match.group()]]
    rest, texts = caption[found[-1].end() :].strip(" .;,") if found else "", []
    for match in found:
        words = caption[: match.start()].replace(",", " , ").split()
        ends = [k for k, word in enumerate(words) if word == "," or word.lower() in BEFORE.split()]
        thing = " ".join([*words[ends[-1] + 1 if ends else 0 :], singular(match.group(), aliases)])
        texts.append((f"a photo of a {thing} {rest}".strip(), aliases[match.group()]))
    return texts


def singular(phrase: str, aliases: Mapping[str, str]) -> str:
    """The phrase among the aliases whose plural it is; as it is, if there is none."""
    return next((one for one in aliases if one != phrase and plural(one) == phrase), phrase)


@lru_cache(maxsize=8)
def _pattern(phrases: tuple[str, ...]) -> re.Pattern[str]:
    words = "|".join(re.escape(phrase).replace(r"\ ", r"\s+") for phrase in phrases)
    return re.compile(rf"(?<![\w-])(?:{words})(?!\w)")


def parsed(class_prompt: str, names: Sequence[str], where: str) -> list[str]:
    """The classes of a finished class prompt, from left to right; of two names that begin alike the longer.

    GraftError, with `where` before it, for a word that begins no name."""
    rest, found = " ".join(class_prompt.split()), []
    longest_first = sorted(names, key=len, reverse=True)
    while rest:
        name = next((name for name in longest_first if f"{rest} ".startswith(f"{name} ")), None)
        if name is None:
            raise GraftError(f"{where}: the class prompt has {rest.split()[0]!r}, which begins no class; correct it")
        found.append(name)
        rest = rest[len(name) :].lstrip()
    return found


def class_prompt(classes: Sequence[str]) -> str:
    """The class words as one text."""
    return " ".join(classes)


def token_spans(tokenizer: CLIPTokenizer, classes: Sequence[str]) -> list[Span]:
    """The token indices (start-of-text is 0) of each class in the class prompt of these classes, ascending.

    GraftError for a class of which the tokenizer has no token, and for a text longer than the model reads."""
    text = class_prompt(classes)
    encoded = tokenizer(text, truncation=True, return_offsets_mapping=True, verbose=False)
    spans, start = [], 0
    for name in classes:
        end = start + len(name)
        inside = enumerate(encoded["offset_mapping"])
        span = tuple(index for index, (first, last) in inside if first < end and last > start and last > first)
        if not span:
            raise GraftError(
                f"the class prompt {text[:60]!r} is longer than the {tokenizer.model_max_length} tokens that the text "
                f"encoder reads: {name!r} lies behind them; name fewer classes in one caption"
            )
        if any(encoded["input_ids"][index] == tokenizer.unk_token_id for index in span):
            raise GraftError(
                f"the model's tokenizer has no token for the class word {name!r}; name the class otherwise"
            )
        spans.append(span)
        start = end + 1
    return spans


def appended(tokenizer: CLIPTokenizer, caption: str, classes: Sequence[str]) -> str:
    """ "<caption>; <class words>", the caption shortened by whole words until the model reads all class words.

    The published code appends behind a caption of any length, and what lies behind the last token is not drawn."""
    words, tail = caption.split(), class_prompt(classes)
    while words:
        text = f"{' '.join(words)}{SEPARATOR}{tail}"
        if len(tokenizer(text, verbose=False)["input_ids"]) <= tokenizer.model_max_length:
            return text
        words.pop()
    return tail


def without_tail(caption: str, classes: str) -> str:
    """A caption as it was before a class prompt was appended to it; as it is, if none was."""
    return caption.removesuffix(f"{SEPARATOR}{classes}")
