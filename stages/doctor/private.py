"""A page that is shown to others names no place of its user's."""

from __future__ import annotations

import os
import re
from pathlib import Path


def without_paths(text: str, here: Path | None = None, home: str | None = None) -> str:
    """The text with this folder as a dot, and each path at or below the home folder as a tilde."""
    here, home = here or Path.cwd(), home or os.path.expanduser("~")
    for place in {str(here), str(here.resolve())}:
        text = re.sub(re.escape(place) + r"(?![\w.-])", ".", text)
    for place in {home, os.path.realpath(home)} - {"/", "~"}:
        text = re.sub(re.escape(place.rstrip("/")) + r"(?![\w.-])(/[^\s'\":,;()\]]*)*", "~", text)
    return text
