"""Shards whose pictures may be stored as JPEG, a quarter of a PNG's size: readers get PNG, and need not care."""

from __future__ import annotations

import io
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from stages.parts.store.pictures import png_bytes
from stages.parts.store.shards import Row, Shards

QUALITY = 70  # of Pillow's scale, colours at half of the resolution: 2 100 photos in less than 8 MB
STORED, READ = "image.jpg", "image.png"


def jpeg_bytes(image: NDArray[np.uint8]) -> bytes:
    """JPEG of a (H, W, 3) uint8 RGB picture. ValueError for anything else."""
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
        raise ValueError(f"a JPEG needs uint8 (H, W, 3), not {image.dtype} {image.shape}")
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(image), "RGB").save(buffer, "JPEG", quality=QUALITY)
    return buffer.getvalue()


def jpeg_array(content: bytes) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 RGB of a JPEG. ValueError for what is none."""
    try:
        with Image.open(io.BytesIO(content), formats=["JPEG"]) as image:
            return np.array(image.convert("RGB"))
    except OSError as error:
        raise ValueError(f"expected a JPEG: {error}") from None


class PhotoShards(Shards):
    """Shards with image.png in the place of image.jpg; all else as it is stored. Errors as of Shards."""

    def __iter__(self) -> Iterator[tuple[Row, dict[str, bytes]]]:
        for row, files in super().__iter__():
            yield row, _as_png(files)

    def read(self, uid: str) -> dict[str, bytes]:
        return _as_png(super().read(uid))


def _as_png(files: dict[str, bytes]) -> dict[str, bytes]:
    if STORED not in files:
        return files
    return {name: content for name, content in files.items() if name != STORED} | {
        READ: png_bytes(jpeg_array(files[STORED]))
    }
