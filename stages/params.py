"""The schema of params.yaml: one strict section per stage, checked whole before any work.

The file is read with YAML 1.2 rules, as DVC reads it: PyYAML would take `1e-2` for a string, and the lock would
certify a value that the stage never saw. An unknown key, a wrong type or a value out of range is one sentence.
"""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Protocol

from pydantic import Discriminator, Field, Tag, ValidationError, field_validator, model_validator
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from stages.labels import GraftError
from stages.mask_params import Clean, Refine
from stages.sections import ClassNames, Count, Section, Seed, Share, Side
from stages.train_params import Evaluate, Train

__all__ = ["GraftError", "Params", "command", "read"]


class Folder(Section):
    """A dataset of the user's: see stages/folders.py and stages/idmaps.py."""

    images: str
    labels: str | None = None
    ids: str | dict[Annotated[int, Field(ge=-1, le=65535)], str] | None = None  # -1 is in some lists, in no picture

    @model_validator(mode="after")
    def labels_have_ids(self) -> Folder:
        if (self.labels is None) != (self.ids is None):
            raise ValueError("labels and ids go together: a folder of labels, and the id map that says what they mean")
        return self


# How many scenes of the small world, or a folder. The tags keep an error to the one that was meant.
Split = Annotated[
    Annotated[Count, Tag("(count)")] | Annotated[Folder, Tag("(folder)")],
    Discriminator(lambda given: "(folder)" if isinstance(given, dict | Folder) else "(count)"),
]


class Scenes(Section):
    seed: Seed
    source: Split
    target: Split
    val: Split
    height: Side | None
    width: Side | None

    @model_validator(mode="after")
    def sized(self) -> Scenes:
        if (self.height is None) != (self.width is None):
            raise ValueError("height and width are both given, or both null: pictures of a folder as they are")
        if self.height is None and not all(isinstance(each, Folder) for each in (self.source, self.target, self.val)):
            raise ValueError("height and width are null, but a scene of the small world has no size of its own")
        return self

    @model_validator(mode="after")
    def labelled(self) -> Scenes:
        for name, split in (("source", self.source), ("val", self.val)):
            if isinstance(split, Folder) and split.labels is None:
                raise ValueError(f"{name} needs labels and ids; only target goes without")
        return self


class Generate(Section):
    source: str
    model: str
    revision: str | None
    count: Count
    seed: Seed
    steps: Count
    guidance: Annotated[float, Field(ge=1.0)]
    height: Side
    width: Side
    batch: Count
    attribution: Literal["ovam", "daam", "dataset_diffusion"]
    branch: Literal["uncond", "cond", "both"]
    self_attention: Share | None
    dtype: Literal["float32", "float16", "bfloat16"]
    attention_slicing: bool
    offload: bool
    compile: bool


class Engine(Section):
    workers: Count | None
    address: str | None


class Cutouts(Section):
    seed: Seed


class Params(Section):
    classes: Annotated[ClassNames, Field(min_length=1)]
    scenes: Scenes
    generate: Generate
    refine: Refine
    clean: Clean
    cutouts: Cutouts
    train: Train
    evaluate: Evaluate
    engine: Engine

    @field_validator("classes")
    @classmethod
    def names_of_stages(cls, names: list[str]) -> list[str]:
        for name in names:
            if " " in name:
                raise ValueError(f"class {name!r} has a space in its name, which a stage's name may not have")
            if names.count(name) > 1:
                raise ValueError(f"names the class {name} twice")
        return names


def read(path: Path | str = "params.yaml") -> Params:
    """Read and check the whole file. Raises GraftError: one sentence with the file, the key and what it should be."""
    path = Path(path)
    try:
        content = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise GraftError(f"{path}: no such file here; run the stage from the root of the repo") from None
    except UnicodeDecodeError:
        raise GraftError(f"{path} is not UTF-8 text; save it as such") from None
    except YAMLError as error:
        raise GraftError(f"{path} is no valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict):
        raise GraftError(f"{path} must be a table of sections, one per stage")
    try:
        return Params.model_validate(content)
    except ValidationError as error:
        raise GraftError(f"{path}: " + "; ".join(_sentence(e) for e in error.errors())) from None


def _sentence(error: Any) -> str:
    """One pydantic error as words: the dotted key, the complaint, and the value that is there."""
    key = ".".join(str(part) for part in error["loc"] if part not in ("(count)", "(folder)")) or "the file"
    if error["type"] == "extra_forbidden":
        return f"unknown key {key}; remove it or correct its name"
    if error["type"] == "missing":
        return f"key {key} is missing"
    complaint = error["msg"].removeprefix("Value error, ")
    if error["type"] != "value_error":  # ours are written as they should read, and may begin with a name
        complaint = complaint[0].lower() + complaint[1:]
    value = error["input"]
    shown = f" (it is {value!r})" if isinstance(value, str | int | float | bool | list) or value is None else ""
    return f"{key}: {complaint}{shown}"


OUT_OF_MEMORY = "OutOfMemoryError"  # torch's, by its name: not every stage loads torch
FIT = (
    "the GPU has not the memory for this; in params.yaml lower the `batch` of this stage, or for generate set "
    "attention_slicing or offload to true, or dtype to float16; what was finished is kept"
)


class Main(Protocol):
    """A stage's main: its arguments, those of the process by default."""

    def __call__(self, argv: Sequence[str] | None = None) -> None: ...


def command(main: Main) -> Main:
    """Decorate a stage's main: a GraftError becomes one sentence on stderr and exit status 2, and so
    does what the file system or a full GPU refuses; Ctrl-C becomes 130."""

    @functools.wraps(main)
    def wrapped(argv: Sequence[str] | None = None) -> None:
        os.environ.setdefault("HF_HUB_OFFLINE", "1")  # nothing is fetched by surprise: only a fetch stage may
        try:
            main(argv)
        except GraftError as error:
            print(f"error: {error}", file=sys.stderr)
            raise SystemExit(2) from None
        except OSError as error:
            if error.filename is None:
                raise
            print(f"error: {error.filename}: {error.strerror}", file=sys.stderr)
            raise SystemExit(2) from None
        except RuntimeError as error:
            if type(error).__name__ != OUT_OF_MEMORY:
                raise
            print(f"error: {FIT}", file=sys.stderr)
            raise SystemExit(2) from None
        except KeyboardInterrupt:
            print("stopped; what was finished is kept: run the same command again to go on", file=sys.stderr)
            raise SystemExit(130) from None

    return wrapped
