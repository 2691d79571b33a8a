"""Files of weights: found, and known to be whole, without a tensor being read."""

from __future__ import annotations

from pathlib import Path

from safetensors import SafetensorError, safe_open

from stages.parts.errors import GraftError

WEIGHTS = "model.safetensors"
BACK = "bring it back (`git checkout` or `dvc pull`) or fetch it again"


def check(path: Path) -> None:
    """Header and length of a safetensors file are read. GraftError when it is missing, cut off or no such file."""
    try:
        with safe_open(path, framework="numpy"):
            pass
    except (SafetensorError, OSError) as error:
        raise GraftError(f"{path} is damaged ({error}); {BACK}") from None


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
