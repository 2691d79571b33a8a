"""Where pretrained weights lie, and how they are loaded: from here, or with one sentence why not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError
from transformers.utils import logging

from stages.labels import GraftError


def locate(source: str, param: str) -> Path:
    """The folder or file of a model that `source` names, else the local hub cache's snapshot of that id.

    Never uses the network. Raises GraftError naming the param when there is neither.
    """
    if Path(source).exists():
        return Path(source)
    try:
        return Path(snapshot_download(source, local_files_only=True))
    except (LocalEntryNotFoundError, HFValidationError, HfHubHTTPError):
        raise GraftError(
            f"params.yaml {param}: {source!r} is neither a folder here nor a model in the local hub cache; "
            "train the miniature one (dvc --cd stages/miniature repro), or fetch it, or name another"
        ) from None


def load(kind: Any, folder: Path, **options: Any) -> Any:
    """`kind.from_pretrained(folder)` from local files; GraftError naming the folder when it does not fit."""
    logging.disable_progress_bar()  # it would run across the stage's own
    try:
        return kind.from_pretrained(folder, local_files_only=True, **options)
    except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
        complaint = " ".join(str(error).split())[:200]
        raise GraftError(f"{folder} is no complete {kind.__name__} folder: {complaint}") from None
