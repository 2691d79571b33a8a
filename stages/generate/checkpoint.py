"""The text-to-image model on disk: found, and known to be whole, before torch is loaded."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from huggingface_hub import snapshot_download
from safetensors import SafetensorError, safe_open

from stages.params import GraftError

INDEX = "model_index.json"
PIPELINE = "StableDiffusionPipeline"
WEIGHTS = ("unet", "vae", "text_encoder")
BACK = "bring it back (`git checkout` or `dvc pull`) or fetch it again"


def find(model: str, revision: str | None) -> Path:
    """The folder of `model`: itself, or the snapshot of that Hub id in the local cache. Nothing is fetched.

    Raises GraftError when there is neither, and for a revision of a folder, which has none."""
    folder = Path(model)
    if folder.is_dir():
        if revision is not None:
            raise GraftError(
                f"params.yaml: generate.revision is {revision!r}, but generate.model is the folder {model}, "
                f"which has no revisions; set generate.revision to null"
            )
        return folder
    try:
        return Path(snapshot_download(model, revision=revision, local_files_only=True))
    except (OSError, ValueError):
        raise GraftError(
            f"params.yaml: generate.model names no folder ({model}) and no model in the Hugging Face cache; "
            f"correct it, bring the folder back (`git checkout` or `dvc pull`), or run `hf download` once"
        ) from None


def check(folder: Path) -> None:
    """Raise GraftError unless `folder` holds a whole Stable Diffusion pipeline in the diffusers layout: its
    parts there, every JSON file readable, every safetensors file opening (headers and lengths are read)."""
    if not (folder / INDEX).is_file():
        raise GraftError(
            f"params.yaml: generate.model {folder} is no diffusers model, it has no {INDEX}; "
            f"give a folder in the diffusers layout"
        )
    tables = {path: _table(path) for path in sorted(folder.rglob("*.json"))}
    kind = tables[folder / INDEX].get("_class_name")
    if kind != PIPELINE:
        raise GraftError(f"params.yaml: generate.model {folder} is a {kind}; this stage needs a {PIPELINE}")
    for part in WEIGHTS:
        if not any((folder / part).glob("*.safetensors")):
            raise GraftError(f"{folder / part} has no *.safetensors file; {BACK}")
    # Without either, transformers makes an empty tokenizer, and every prompt reads as nothing.
    if not any((folder / "tokenizer" / name).is_file() for name in ("tokenizer.json", "merges.txt")):
        raise GraftError(f"{folder / 'tokenizer'} has neither tokenizer.json nor merges.txt; {BACK}")
    for path in sorted(folder.rglob("*.safetensors")):
        _check_header(path)


def _table(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise GraftError(f"{path} is damaged; {BACK}") from None
    if not isinstance(content, dict):
        raise GraftError(f"{path} is damaged, it holds no table; {BACK}")
    return content


def _check_header(path: Path) -> None:
    try:
        with safe_open(path, framework="numpy"):
            pass
    except (SafetensorError, OSError) as error:
        raise GraftError(f"{path} is damaged ({error}); {BACK}") from None
