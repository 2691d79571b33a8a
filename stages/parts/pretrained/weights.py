"""Where pretrained weights lie, whether they are whole, and how they are loaded; or one sentence why not.

Nothing is fetched: what is no folder here is looked for in the local Hugging Face cache.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from stages.parts.errors import GraftError
from stages.parts.pretrained.header import BACK, check_model

WEIGHTS = "model.safetensors"


def find_encoder(encoder: str, revision: str | None) -> Path:
    """The weights' file of a folder (revision None), or of a Hub id at that commit in the local cache.

    Nothing is fetched. Raises GraftError when there is neither, and for a revision of a folder, which has none.
    """
    if revision is None:
        path = Path(encoder, WEIGHTS)
        if not path.is_file():
            raise GraftError(
                f"params.yaml: train.encoder: there is no {path}; correct it, set it to null for none, or, if it is a "
                f"Hub id, give its commit as train.encoder_revision"
            )
        return path
    if Path(encoder).is_dir():
        raise GraftError(f"params.yaml: train.encoder {encoder} is a folder; set train.encoder_revision to null")
    from huggingface_hub import hf_hub_download  # reads HF_HUB_OFFLINE as it is imported: not before it is set

    try:
        return Path(hf_hub_download(encoder, WEIGHTS, revision=revision, local_files_only=True))
    except (OSError, ValueError):
        raise GraftError(
            f"params.yaml: train.encoder {encoder} at {revision} is not in the Hugging Face cache; "
            f"run `hf download {encoder} {WEIGHTS} --revision {revision}` once"
        ) from None


def locate(source: str, param: str) -> Path:
    """The folder or file of a model that `source` names, else the local hub cache's snapshot of that id.

    Never uses the network. Raises GraftError naming the param when there is neither, and whatever header.check_model
    finds: headers and configs are read, no tensor is.
    """
    path = _path(source, param)
    if path.is_dir() and not any(path.glob("*.safetensors")):
        raise GraftError(f"params.yaml {param}: {path} has no *.safetensors file; {BACK}")
    check_model(path, param)
    return path


def _path(source: str, param: str) -> Path:
    if Path(source).exists():
        return Path(source)
    from huggingface_hub import snapshot_download  # reads HF_HUB_OFFLINE as it is imported: not before it is set
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

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
