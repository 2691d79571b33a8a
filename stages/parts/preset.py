"""A preset is a command that writes values into params.yaml: there they can be seen, changed and tracked."""

from __future__ import annotations

import io
from collections.abc import Mapping, MutableMapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from stages.parts.errors import GraftError
from stages.parts.sections import FILE, Sections, parsed, validated
from stages.parts.store.atomic import write_whole


def write_preset(values: Mapping[str, Any], schema: type[Sections], path: Path | str = FILE) -> None:
    """Lay the values over those of the file, section by section; comments and what is not named stay.

    The file is written in the form that DVC's own -S leaves, whole or not at all, and only if what is to be written can
    be read back and is what `schema` allows. GraftError for a file that is not valid as it is, or would not be."""
    path = Path(path)
    validated(parsed(text_of(path), path), schema, path)  # as it is: or a fault of before would look like ours
    yaml = YAML()
    yaml.default_flow_style = False
    content = yaml.load(text_of(path))
    overlay(content, values)
    written = io.StringIO()
    yaml.dump(content, written)
    try:
        validated(parsed(written.getvalue(), path), schema, path)
    except (GraftError, YAMLError) as error:
        raise GraftError(f"{path} is left as it was: with the preset it would not be valid ({error})") from None
    write_whole(path, written.getvalue())


def text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise GraftError(f"{path} cannot be read ({error}); run the command from the root of the repo") from None


def overlay(section: MutableMapping[str, Any], values: Mapping[str, Any]) -> None:
    """Set the values in place, table by table: what is not named stays."""
    for key, value in values.items():
        if isinstance(value, Mapping) and isinstance(section.get(key), MutableMapping):
            overlay(section[key], value)
        else:
            section[key] = value
