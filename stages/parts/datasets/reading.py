"""One image and its label, read as they were stored. Every fault is one sentence that names the file and the fix."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image

from stages.parts.datasets.folders import Pair
from stages.parts.datasets.idmaps import IdMap
from stages.parts.errors import GraftError

COLOUR_16_BIT = b"\x10\x02"  # PNG header: 16 bits a channel, RGB
GREY_SCALE = {b"\x01\x00": 255, b"\x02\x00": 85, b"\x04\x00": 17}  # by what Pillow multiplies grey of 1, 2, 4 bits
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_270, 7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}  # fmt: skip
UPRIGHT = (None, 0, 1)  # EXIF orientations that turn nothing: not given; not known; as it is
# What Pillow raises of a file that is no picture, and of EXIF that is none.
UNREADABLE = (OSError, ValueError, SyntaxError, struct.error, Image.DecompressionBombError, ZeroDivisionError, KeyError,
              TypeError, IndexError, OverflowError)  # fmt: skip


def read_image(path: Path, labelled: bool = False) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 RGB of any 8-bit picture, upright. Raises GraftError for a file that is none, and for one that
    would have to be turned and is labelled: nobody knows whether its label is turned already."""
    try:
        with Image.open(path) as picture:
            if picture.mode.startswith(("I", "F")):
                raise ValueError(f"its mode is {picture.mode}: more than 8 bits, which would be cut off")
            turn = _turn(picture)
            if labelled and turn not in UPRIGHT:
                raise ValueError("its EXIF turns it, and its label has none: save both as they are to be seen")
            upright = picture if turn in UPRIGHT else picture.transpose(TURNS[turn])
            return np.array(upright.convert("RGB"))
    except UNREADABLE as error:
        raise GraftError(f"{path} is no readable picture ({error}); replace or remove it") from None


def _turn(picture: Image.Image) -> int | None:
    """The orientation that a picture's EXIF gives; None where it has none, or where its EXIF cannot be read."""
    try:
        turn = picture.getexif().get(ExifTags.Base.Orientation)
    except UNREADABLE:
        return None
    return turn if turn in (0, *TURNS) else None


def read_label(pair: Pair, ids: IdMap, size: tuple[int, int]) -> NDArray[np.uint8]:
    """(H, W) uint8 train ids, 255 = ignore; `size` is that of the image, (H, W).

    Raises GraftError for a file that is no label, has another size, or holds a value that the map lacks."""
    assert pair.label is not None, f"{pair.name} has no label"
    raw = _pixels(pair.label)
    if raw.shape[:2] != size:
        (h, w), (ih, iw) = raw.shape[:2], size
        raise GraftError(f"{pair.label} is {w} x {h} pixels, but its image {pair.image} is {iw} x {ih}; remove both")
    try:
        return ids.train_ids(raw)
    except ValueError as error:
        raise GraftError(f"{pair.label}: {error}; correct `ids` in params.yaml, or the file") from None


def _pixels(path: Path) -> NDArray:
    """The stored values: (H, W) of grey and palette PNGs of any depth, (H, W, 3) uint8 of colour.

    SYNTHIA's labels are RGB of 16 bits, the class in the first channel and the instance in the second: most
    readers give their high bytes, which are all 0."""
    try:
        with open(path, "rb") as file:
            header = file.read(26)
        if header[24:26] == COLOUR_16_BIT:
            import cv2  # here, for it is seldom needed

            read = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
            if read is None:
                raise OSError("truncated")
            return read[:, :, 2]
        with Image.open(path, formats=["PNG"]) as picture:
            plain = {"RGBA": "RGB", "1": "L"}.get(picture.mode, picture.mode)
            stored = np.array(picture.convert(plain) if plain != picture.mode else picture)
            return stored // GREY_SCALE.get(header[24:26], 1)
    except UNREADABLE as error:
        raise GraftError(f"{path} is no readable PNG ({error}); replace it, or remove it and its image") from None


def fitted(
    image: NDArray[np.uint8], label: NDArray[np.uint8] | None, size: tuple[int, int] | None
) -> tuple[NDArray[np.uint8], NDArray[np.uint8] | None]:
    """Image and label at `size` (H, W): bilinear with antialiasing, and nearest; unchanged where they have it.

    None leaves them as they are. The shape is stretched, as mmseg's Resize(keep_ratio=False) does for the published
    UDA settings."""
    if size is None or image.shape[:2] == size:
        return image, label
    height, width = size
    smooth = Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR)
    if label is None:
        return np.array(smooth), None
    return np.array(smooth), np.array(Image.fromarray(label).resize((width, height), Image.Resampling.NEAREST))
