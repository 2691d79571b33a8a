"""params.yaml: how a stage reads its own sections of it, strictly, before any work.

The file is read with YAML 1.2 rules, as DVC reads it: PyYAML would take `1e-2` for a string, and the lock would
certify a value that the stage never saw. An unknown key, a wrong type or a value out of range is one sentence.
Each room's params.py says what the room reads: a class of sections, such as

    class Params(Sections):
        classes: Classes
        clean: Clean

of which `read(Params)` looks at these two alone. stages/preflight.py looks at all.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from stages.parts.datasets.labels import LABELS, LabelSpace
from stages.parts.errors import GraftError
from stages.parts.store.documents import shown, yaml_table
from stages.parts.store.keys import slug

FILE = "params.yaml"
RECIPES = {
    "baseline": "no cutout at all",
    "grafted": "every kept sample, as it is",
    "blobs": "control: each mask replaced by a random blob of the same area in the same image",
    "shuffled": "control: the classes permuted among the cutouts",
}
# What a class is that the truth lacks: in no mean, or 0 once a stray pixel is predicted as it.
Absent = Literal["skip", "mmseg"]

PLAIN = re.compile(r"\w[\w-]*")
COMMANDS = ("preview", "optimise")  # of python -m stages.generate

Share = Annotated[float, Field(ge=0.0, le=1.0)]
Positive = Annotated[float, Field(gt=0.0)]
NonNegative = Annotated[float, Field(ge=0.0)]
Number = Annotated[int, Field(ge=0, le=1000)]
Count = Annotated[int, Field(ge=1, le=1_000_000)]
Pixels = Annotated[int, Field(ge=0, le=4096)]  # a width of something in a picture
Seed = Annotated[int, Field(ge=0, lt=2**31)]
Side = Annotated[int, Field(ge=16, le=4096, multiple_of=8)]
Size = Annotated[list[Side], Field(min_length=2, max_length=2)]  # height, width
Window = Annotated[list[Annotated[int, Field(ge=32, multiple_of=32)]], Field(min_length=2, max_length=2)]
Names = TypeVar("Names", bound=Iterable[str])


class Section(BaseModel):
    """A section of params.yaml: frozen, no coercion, no unknown key, no NaN."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)


class Sections(BaseModel):
    """What one stage reads of params.yaml: the sections that it names, and no others."""

    model_config = ConfigDict(strict=True, extra="ignore", frozen=True, allow_inf_nan=False)


Schema = TypeVar("Schema", bound=Sections)


def classes_of(labels: LabelSpace) -> AfterValidator:
    """A validator: the names as they are, or ValueError with the first that is no class of the label space."""

    def check(names: Names) -> Names:
        for name in names:
            try:
                labels.id(name)
            except GraftError as error:
                raise ValueError(str(error)) from None
        return names

    return AfterValidator(check)


def one_of(names: Collection[str]) -> AfterValidator:
    """A validator: one of these names, as the table says that holds them; ValueError with all of them."""

    def check(name: str) -> str:
        if name not in names:
            first, last = ", ".join(repr(one) for one in list(names)[:-1]), repr(list(names)[-1])
            raise ValueError(f"input should be {first} or {last}" if first else f"input should be {last}")
        return name

    return AfterValidator(check)


def unlike(given: Sequence[Any]) -> Sequence[Any]:
    """A validator: the list as it is, or ValueError with the first entry that it holds twice."""
    twice = [each for k, each in enumerate(given) if each in given[:k]]
    if twice:
        raise ValueError(f"names {twice[0]} twice")
    return given


def plain(names: list[str]) -> list[str]:
    """A validator: names that a DVC stage, a folder and a command may have, in any language."""
    for name in names:
        if not PLAIN.fullmatch(name):
            raise ValueError(f"class {name!r} has {_odd(name)} in its name, which a stage's name may not have")
        if not unicodedata.is_normalized("NFC", name):
            raise ValueError(f"class {name!r} is written with loose accents; write its letters whole (Unicode's NFC)")
        if name in COMMANDS:
            raise ValueError(f"class {name!r} is the name of a command; call it otherwise")
    if len({slug(name) for name in names}) < len(names):
        raise ValueError("two classes differ in letters outside of a to z alone; call one of them otherwise")
    return names


def _odd(name: str) -> str:
    """What of a name PLAIN does not take, in words."""
    odd = next((letter for letter in name if not PLAIN.fullmatch(letter)), name[:1])
    return "a space" if odd == " " else f"{odd!r}"


ClassNames = Annotated[list[str], classes_of(LABELS)]  # of the root line
Classes = Annotated[ClassNames, Field(min_length=1), AfterValidator(unlike), AfterValidator(plain)]
Recipes = Annotated[list[Annotated[str, one_of(RECIPES)]], Field(min_length=1), AfterValidator(unlike)]
Seeds = Annotated[list[Seed], Field(min_length=1), AfterValidator(unlike)]


def read(schema: type[Schema], path: Path | str = FILE) -> Schema:
    """The sections that `schema` names. Raises GraftError: one sentence with file, key and what it should be."""
    return validated(content(path), schema, path)


def content(path: Path | str = FILE) -> dict[str, Any]:
    """The whole file, unchecked. GraftError when it is missing, no UTF-8, no YAML, or no table."""
    try:
        return parsed(Path(path).read_text(encoding="utf-8"), path)
    except FileNotFoundError:
        raise GraftError(f"{path}: no such file here; run the stage from the root of the repo") from None
    except UnicodeDecodeError:
        raise GraftError(f"{path} is not UTF-8 text; save it as such") from None


def parsed(text: str, path: Path | str) -> dict[str, Any]:
    """The table that a text in YAML 1.2 holds; `path` is only named in errors."""
    return yaml_table(text, path, "a table of sections, one per stage")


def validated(found: Mapping[str, Any], schema: type[Schema], path: Path | str) -> Schema:
    """The sections of `found` that the schema names. GraftError as of read."""
    try:
        return schema.model_validate(found)
    except ValidationError as error:
        raise GraftError(f"{path}: " + "; ".join(_sentence(e) for e in error.errors())) from None


def check_class(name: str, classes: Sequence[str]) -> None:
    """GraftError for a class that params.yaml does not name."""
    if name not in classes:
        raise GraftError(f"{FILE} classes: {name!r} is not among {', '.join(classes)}; add it there")


def _sentence(error: Any) -> str:
    """One pydantic error as words: the dotted key, the complaint, and the value that is there."""
    key = ".".join(str(part) for part in error["loc"] if not str(part).startswith("(")) or "the file"
    if error["type"] == "extra_forbidden":
        return f"unknown key {key}; remove it or correct its name"
    if error["type"] == "missing":
        return f"key {key} is missing"
    complaint = error["msg"].removeprefix("Value error, ")
    if error["type"] != "value_error":  # ours are written as they should read, and may begin with a name
        complaint = complaint[0].lower() + complaint[1:]
    value = error["input"]
    told = f" (it is {shown(value)})" if isinstance(value, str | int | float | bool | list) or value is None else ""
    return f"{key}: {complaint}{told}"
