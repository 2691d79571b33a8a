"""Arrays as bytes and back: PNG for uint8 images and masks, npy for the rest. Equal arrays, equal bytes."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from stages.parts.errors import GraftError

MODES = {(): "L", (3,): "RGB", (4,): "RGBA"}


def png_bytes(array: NDArray[np.uint8]) -> bytes:
    """PNG of a uint8 array (H, W) grey, (H, W, 3) RGB or (H, W, 4) RGBA. ValueError for anything else."""
    mode = MODES.get(array.shape[2:]) if array.ndim >= 2 else None
    if array.dtype != np.uint8 or mode is None or not array.size:
        raise ValueError(f"a PNG needs uint8 (H, W), (H, W, 3) or (H, W, 4), not {array.dtype} {array.shape}")
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(array), mode).save(buffer, "PNG", compress_level=6)
    return buffer.getvalue()


def png_array(content: bytes) -> NDArray[np.uint8]:
    """The uint8 array of a PNG: (H, W) of grey, (H, W, 3) of RGB, (H, W, 4) of RGBA. Else ValueError."""
    with Image.open(io.BytesIO(content), formats=["PNG"]) as image:
        if image.mode not in MODES.values():
            raise ValueError(f"expected a grey, RGB or RGBA PNG, not mode {image.mode}")
        return np.array(image)


def npy_bytes(array: NDArray) -> bytes:
    """The npy file of an array, in C order. ValueError for object arrays."""
    buffer = io.BytesIO()
    np.save(buffer, np.ascontiguousarray(array).reshape(array.shape), allow_pickle=False)
    return buffer.getvalue()


def npy_array(content: bytes) -> NDArray:
    """The array of an npy file. ValueError for pickled objects: nothing is ever unpickled."""
    return np.load(io.BytesIO(content), allow_pickle=False)


def check_size(folder: Path | str, uid: str, image: NDArray, other: NDArray, what: str = "mask") -> None:
    """GraftError, with the folder and both sizes, unless `other` is as high and as wide as the image.

    image: (H, W, 3); other: (h, w) of any dtype, `what` is its name. A broken pair would shift or tear a cutout."""
    if image.shape[:2] != other.shape[:2]:
        raise GraftError(
            f"{folder}: the {what} of {uid} has the size {other.shape[:2]}, its image {image.shape[:2]}; "
            "other code made it: move the folder away, and run the stage that writes it"
        )
