"""Pictures of one sample that must be of one size: its image, its mask, and what else lies over them."""

from __future__ import annotations

from pathlib import Path

from numpy.typing import NDArray

from stages.parts.errors import GraftError


def check_size(folder: Path | str, uid: str, image: NDArray, other: NDArray, what: str = "mask") -> None:
    """GraftError, with the folder and both sizes, unless `other` is as high and as wide as the image.

    image: (H, W, 3); other: (h, w) of any dtype, `what` is its name. A broken pair would shift or tear a cutout."""
    if image.shape[:2] != other.shape[:2]:
        raise GraftError(
            f"{folder}: the {what} of {uid} has the size {other.shape[:2]}, its image {image.shape[:2]}; "
            "delete the folder and run `dvc repro`"
        )
