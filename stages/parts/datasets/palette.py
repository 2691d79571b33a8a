"""Label maps as palette PNGs, as Pascal VOC has them: a viewer shows colours, a reader gets ids."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

COLOURS = 256  # with 16 or fewer Pillow packs several pixels into a byte, and 255 reads back as 15
IGNORED = (224, 224, 192)  # VOC's cream, of id 255


def palette_png_bytes(label: NDArray[np.uint8], palette: NDArray[np.uint8]) -> bytes:
    """PNG of a label (H, W) uint8 with 256 colours; palette: (n, 3) uint8 RGB of ids 0 to n - 1, n <= 255; 255 is
    cream, the others black. Equal arrays, equal bytes. ValueError for another dtype or rank, or an empty label."""
    if label.dtype != np.uint8 or label.ndim != 2 or not label.size:
        raise ValueError(f"a palette PNG needs uint8 (H, W), not {label.dtype} {label.shape}")
    table = np.zeros((COLOURS, 3), np.uint8)
    table[: len(palette)] = palette
    table[-1] = IGNORED
    image = Image.fromarray(np.ascontiguousarray(label), "L")
    image = Image.frombytes("P", image.size, image.tobytes())
    image.putpalette(table.tobytes())
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=6, bits=8)
    return buffer.getvalue()


def palette_png_array(content: bytes) -> NDArray[np.uint8]:
    """The ids (H, W) uint8 of a palette PNG. ValueError for another kind of picture."""
    with Image.open(io.BytesIO(content), formats=["PNG"]) as image:
        if image.mode != "P":
            raise ValueError(f"expected a palette PNG, not mode {image.mode}")
        return np.array(image)
