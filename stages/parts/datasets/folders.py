"""A user's dataset: a folder of images, one of labels, and the id map that says what the labels mean.

Nothing is ever written into these folders. Every fault is one sentence that names the file and the fix.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps

from stages.parts.datasets.idmaps import IdMap
from stages.parts.errors import GraftError
from stages.parts.store.keys import slug

PICTURES = (".png", ".jpg", ".jpeg")
COLOUR_16_BIT = b"\x10\x02"  # PNG header: 16 bits a channel, RGB
GREY_SCALE = {b"\x01\x00": 255, b"\x02\x00": 85, b"\x04\x00": 17}  # by what Pillow multiplies grey of 1, 2, 4 bits
UNREADABLE = (OSError, ValueError, SyntaxError, Image.DecompressionBombError)


@dataclass(frozen=True)
class Pair:
    """One image and its label (None where the dataset has none); `name` is what their paths have in common."""

    name: str
    image: Path
    label: Path | None

    @property
    def slug(self) -> str:
        return slug(self.name)

    def hash(self) -> str:
        """64 hex digits over the bytes of both files."""
        digest = hashlib.sha256()
        for path in (self.image, self.label):
            content = path.read_bytes() if path else b""
            digest.update(len(content).to_bytes(8, "big") + content)
        return digest.hexdigest()


def pairs(images: Path, labels: Path | None, ids: IdMap) -> list[Pair]:
    """Every image below `images` with its label at the same place below `labels`, sorted by name.

    Raises GraftError for a missing or empty folder, an image without label, a label without image, and two
    names that would be the same sample."""
    pictures = _found(images, _image_ends(ids))
    if labels is None:
        return _distinct([Pair(name, path, None) for name, path in pictures.items()])
    drawn = _found(labels, (ids.labels,))
    if alone := sorted(drawn.keys() - pictures.keys()):
        raise GraftError(f"{drawn[alone[0]]} is a label without its image {images / alone[0]}.*{_more(alone)}")
    alone = sorted(pictures.keys() - drawn.keys())
    if alone and not ids.partial:
        wanted = labels / (alone[0] + ids.labels)
        raise GraftError(f"{pictures[alone[0]]} is an image without its label {wanted}{_more(alone)}")
    return _distinct([Pair(name, pictures[name], drawn[name]) for name in drawn])


def check_folders(images: Path, labels: Path | None, ids: IdMap) -> None:
    """GraftError for a folder that is missing or holds no picture. It stops at the first picture, however many there
    are: whether each has its label, `pairs` tells."""
    _check(images, _image_ends(ids))
    if labels is not None:
        _check(labels, (ids.labels,))


def _check(folder: Path, ends: tuple[str, ...]) -> None:
    if not folder.is_dir():
        raise GraftError(f"{folder}: no such folder; correct the path in params.yaml (it counts from the repo's root)")
    if not any(_end(path, ends) and path.is_file() for path in folder.rglob("*")):
        raise GraftError(f"{folder} holds no file that ends in {' or '.join(ends)}; correct the path in params.yaml")


def _image_ends(ids: IdMap) -> tuple[str, ...]:
    return (ids.images,) if ids.images else PICTURES


def _end(path: Path, ends: tuple[str, ...]) -> str:
    """Which of the ends a file's name has, in any case of letters; "" for none."""
    return next((end for end in ends if path.name.lower().endswith(end.lower())), "")


def _found(folder: Path, ends: tuple[str, ...]) -> dict[str, Path]:
    """Relative name without its end -> path, of every file below the folder that ends so."""
    _check(folder, ends)
    found: dict[str, Path] = {}
    for path in sorted(folder.rglob("*")):
        name, end = path.relative_to(folder).as_posix(), _end(path, ends)
        if not end or not path.is_file():
            continue
        if not _is_text(name):
            raise GraftError(f"{str(path)!r}: its name is no UTF-8; rename it")
        stem = name[: len(name) - len(end)]
        if stem in found:
            raise GraftError(f"{found[stem]} and {path} are two pictures of one name; remove one")
        found[stem] = path
    return found


def _is_text(name: str) -> bool:
    """Whether a name can be written down: what Python cannot decode of one it keeps as lone surrogates."""
    return not any("\ud800" <= letter <= "\udfff" for letter in name)


def _more(names: list[str]) -> str:
    return f" (and {len(names) - 1} more)" if len(names) > 1 else ""


def _distinct(found: list[Pair]) -> list[Pair]:
    slugs: dict[str, Pair] = {}
    for pair in sorted(found, key=lambda pair: pair.name):
        other = slugs.setdefault(pair.slug, pair)
        if other is not pair:
            raise GraftError(f"{other.image} and {pair.image} would both be the sample {pair.slug}; rename one")
    return list(slugs.values())


def read_image(path: Path, labelled: bool = False) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 RGB of any 8-bit picture, upright. Raises GraftError for a file that is none, and for one that
    would have to be turned and is labelled: nobody knows whether its label is turned already."""
    try:
        with Image.open(path) as picture:
            if picture.mode.startswith(("I", "F")):
                raise ValueError(f"its mode is {picture.mode}: more than 8 bits, which would be cut off")
            if labelled and picture.getexif().get(ExifTags.Base.Orientation, 1) != 1:
                raise ValueError("its EXIF turns it, and its label has none: save both as they are to be seen")
            return np.array(ImageOps.exif_transpose(picture).convert("RGB"))
    except UNREADABLE as error:
        raise GraftError(f"{path} is no readable picture ({error}); replace or remove it") from None


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
