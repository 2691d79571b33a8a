"""Files of weights: known to be whole without a tensor being read."""

from __future__ import annotations

from pathlib import Path

from safetensors import SafetensorError, safe_open

from stages.labels import GraftError

BACK = "bring it back (`git checkout` or `dvc pull`) or fetch it again"


def check(path: Path) -> None:
    """Header and length of a safetensors file are read. GraftError when it is missing, cut off or no such file."""
    try:
        with safe_open(path, framework="numpy"):
            pass
    except (SafetensorError, OSError) as error:
        raise GraftError(f"{path} is damaged ({error}); {BACK}") from None
