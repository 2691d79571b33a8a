"""The prompt grammar of one class: what a user writes in data/prompts/<class>.yaml, checked before any work.

    subtypes: [passenger train, freight train]
    places: [in the mountains, on a bridge]
    template: "a photo of a {subtype} {place}{style}"
    style: ", color"
    negative: "grayscale"

UCG's grammar for trains has 20 subtypes and 20 places, "{subtype} {place}{style}" with the style
",cityscapes, ego camera, color", the negative prompt "grayscale, artistic, painting", and in effect the attribution
"{word} {place}{style}".
"""

from __future__ import annotations

from dataclasses import dataclass
from string import Formatter
from typing import Any

from stages.parts.errors import GraftError
from stages.parts.prompts.entries import known, text, texts

LISTS = ("subtypes", "places")
TEXTS = ("template", "style", "negative", "word", "attribution")
REQUIRED = (*LISTS, "template")
KEYS = (*LISTS, *TEXTS, "embedding")  # the last is the same for every kind of prompts: sources.py


@dataclass(frozen=True)
class Grammar:
    """What may be said of one class: `template` renders the prompt, `attribution` the text whose map is
    recorded."""

    name: str
    subtypes: tuple[str, ...]
    places: tuple[str, ...]
    template: str
    style: str
    negative: str
    word: str
    attribution: str


def parse(content: dict[Any, Any], file: str, class_name: str) -> Grammar:
    """A grammar from the table of its YAML file; `file` is only named in errors.

    Keys: `subtypes` and `places` (lists, not empty), `template` (holds {subtype}, {place} and, if there is a
    style, {style}); optional `style` and `negative` (default none), `word` (default: the name of the class)
    and `attribution` (holds {word}, and {place} or {style} at will; default "a photo of a {word}").
    Raises GraftError, one sentence with the file and the key, for anything else."""
    known(content, KEYS, file)
    if missing := [key for key in REQUIRED if key not in content]:
        raise GraftError(f"{file}: key {missing[0]} is missing; add it")
    defaults = {"style": "", "negative": "", "word": class_name, "attribution": "a photo of a {word}"}
    lists = {key: texts(content[key], key, file) for key in LISTS}
    lines = {key: text((defaults | content)[key], key, file) for key in TEXTS}
    shown = ("subtype", "place", "style") if lines["style"] else ("subtype", "place")
    _check(lines["template"], f"{file}: template", ("subtype", "place", "style"), shown)
    _check(lines["attribution"], f"{file}: attribution", ("word", "place", "style"), ("word",))
    return Grammar(name=class_name, **lists, **lines)  # type: ignore[arg-type]


def _check(template: str, where: str, allowed: tuple[str, ...], shown: tuple[str, ...]) -> None:
    """Only bare fields of `allowed`, each of `shown` once: a part that no field shows changes nothing."""
    try:
        fields = [part for part in Formatter().parse(template) if part[1] is not None]
    except ValueError as error:
        raise GraftError(f"{where} {template!r} has a brace too many or too few ({error})") from None
    if any(field not in allowed or layout or conversion for _, field, layout, conversion in fields):
        raise GraftError(f"{where} may hold {', '.join(map(_braced, allowed))} alone (it is {template!r})")
    names = [field for _, field, _, _ in fields]
    if wrong := [field for field in shown if names.count(field) != 1]:
        raise GraftError(f"{where} must hold {_braced(wrong[0])} once (it is {template!r})")


def _braced(field: str) -> str:
    return f"{{{field}}}"
