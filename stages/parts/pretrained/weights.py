"""Where pretrained weights lie, and how they are loaded: from here, or with one sentence why not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError
from safetensors import SafetensorError

from stages.parts.errors import GraftError
from stages.parts.pretrained import tensors
from stages.parts.pretrained.tensors import BACK


def locate(source: str, param: str) -> Path:
    """The folder or file of a model that `source` names, else the local hub cache's snapshot of that id.

    Never uses the network. Raises GraftError naming the param when there is neither, and naming the file when a
    weights file there is cut off or no safetensors: headers and lengths are read, no tensor is.
    """
    path = _path(source, param)
    files = sorted(path.glob("*.safetensors")) if path.is_dir() else [path]
    if not files:
        raise GraftError(f"params.yaml {param}: {path} has no *.safetensors file; {BACK}")
    for file in files:
        if file.suffix == ".safetensors":
            tensors.check(file)
    return path


def _path(source: str, param: str) -> Path:
    if Path(source).exists():
        return Path(source)
    try:
        return Path(snapshot_download(source, local_files_only=True))
    except (LocalEntryNotFoundError, HFValidationError, HfHubHTTPError):
        raise GraftError(
            f"params.yaml {param}: {source!r} is neither a folder here nor a model in the local hub cache; "
            "train the miniature one (dvc --cd lines/miniature repro), or fetch it, or name another"
        ) from None


def load(kind: Any, folder: Path, **options: Any) -> Any:
    """`kind.from_pretrained(folder)` from local files; GraftError naming the folder when it does not fit."""
    from transformers.utils import logging  # here, for a look at the files needs no transformers

    logging.disable_progress_bar()  # it would run across the stage's own
    try:
        return kind.from_pretrained(folder, local_files_only=True, **options)
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        complaint = " ".join(str(error).split())[:200]
        raise GraftError(f"{folder} is no complete {kind.__name__} folder: {complaint}; {BACK}") from None


def load_model(kind: Any, folder: Path, unused: tuple[str, ...] = ()) -> Any:
    """The model of a folder, every weight of it from the safetensors there. GraftError naming the folder and a tensor
    that it lacks: transformers would give that random values. `unused`: starts of names that may be lacking."""
    model, info = load(kind, folder, use_safetensors=True, output_loading_info=True)
    if lacking := sorted(name for name in info["missing_keys"] if not name.startswith(unused)):
        raise GraftError(
            f"{folder}: the weights lack {len(lacking)} tensors of {kind.__name__}, such as {lacking[0]}; {BACK}"
        )
    return model.eval()
