"""UCG's folder of cutouts: rgb/<name>.png, the full image, and ss/<name>.png, its mask of 1 bit or 0 / 255.

Beside them there may be a list file, one "<name>.png" per line, and a file of prompts, one per line in the order of
the numbered names. Reading names every damaged or unpaired file at once, and changes none.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from stages.parts.datasets.listing import files_below
from stages.parts.errors import GraftError
from stages.parts.store import keys

RGB, SS = "rgb", "ss"
NAMED = 5  # faults told in one sentence; the others are counted


def names(folder: Path, listed: Path | None = None) -> list[str]:
    """The names that have an image and a mask, numbers first in their order; only those of `listed` if given.

    Raises GraftError that names the images without mask, the masks without image, and listed names without both."""
    for part in (RGB, SS):
        if not (folder / part).is_dir():
            raise GraftError(
                f"{folder}: expected the folders {RGB}/ and {SS}/ of UCG's layout; it holds {_shown(folder)}"
            )
    images, masks = set(_pictures(folder / RGB)), set(_pictures(folder / SS))
    wanted = _listed(listed) if listed else images | masks
    faults = [f"{RGB}/{name}.png has no mask in {SS}/" for name in sorted(wanted & images - masks)]
    faults += [f"{SS}/{name}.png has no image in {RGB}/" for name in sorted(wanted & masks - images)]
    faults += [f"{name}.png is listed but nowhere" for name in sorted(wanted - images - masks)]
    refuse(folder, faults)
    if not wanted:
        raise GraftError(f"{folder} holds no image; expected {RGB}/<name>.png and {SS}/<name>.png")
    return sorted(wanted, key=order)


def picture(folder: Path, part: str, name: str) -> Path:
    """The file of an image or a mask; its ending may be written in any case of letters."""
    plain = folder / part / f"{name}.png"
    return plain if plain.exists() else _pictures(folder / part).get(name, plain)


def _pictures(folder: Path) -> dict[str, Path]:
    """Name -> file of every PNG that lies directly in the folder. GraftError for two of one name, and as of listing."""
    found: dict[str, Path] = {}
    for path in files_below(folder, (".png",)):
        if path.parent != folder:
            continue  # UCG's folders have none below them
        if path.stem in found:
            raise GraftError(f"{found[path.stem]} and {path} are two pictures of one name; remove one")
        found[path.stem] = path
    return found


def order(name: str) -> tuple[int, int, str]:
    """Sorts numbers by their value, before all other names."""
    return (0, int(name), name) if name.isdecimal() else (1, 0, name)


def refuse(folder: Path, faults: Sequence[str]) -> None:
    """GraftError with the first faults and the number of the others; nothing when there is none."""
    if faults:
        more = f", and {len(faults) - NAMED} more" if len(faults) > NAMED else ""
        raise GraftError(f"{folder}: {'; '.join(faults[:NAMED])}{more}; complete or remove them")


def _shown(folder: Path) -> str:
    found = sorted(path.name + "/" * path.is_dir() for path in folder.iterdir()) if folder.is_dir() else []
    return ", ".join(found[:8]) + ", ..." * (len(found) > 8) or "nothing"


def _listed(path: Path) -> set[str]:
    """UCG's lists have a name per line, with ".png", and often a space behind it; a name may hold spaces."""
    try:
        lines = path.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise GraftError(f"{path} is no readable list ({error})") from None
    return {name for line in lines for name in re.split(r"\.png(?:\s+|$)", line.strip()) if name}


def prompts(path: Path, known: Sequence[str]) -> dict[str, str]:
    """Name -> prompt, line k for the k-th name.

    UCG's file drifts from the images when one was skipped and doubles when a run was repeated, so another number
    of lines than of names is refused: a prompt that belongs to another image is worse than none."""
    try:
        lines = path.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise GraftError(f"{path} is no readable file of prompts ({error})") from None
    if len(lines) != len(known):
        raise GraftError(
            f"{path} has {len(lines)} prompts for {len(known)} images, so none can be trusted; leave it out"
        )
    return {name: line.strip() for name, line in zip(known, lines, strict=True)}


def read(folder: Path, name: str) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """((H, W, 3) uint8 RGB, (H, W) bool mask) of one name.

    Raises ValueError, with the file in it, for a damaged one, an image that is not RGB, a mask with another value
    than 0, 1 and 255 or with 1 beside 255, and two different sizes."""
    image = _array(picture(folder, RGB, name), ("RGB",))
    mask = _array(picture(folder, SS, name), ("1", "L", "P"))
    if image.shape[:2] != mask.shape:
        raise ValueError(
            f"{SS}/{name}.png is {mask.shape[1]} x {mask.shape[0]}, its image {image.shape[1]} x {image.shape[0]}"
        )
    values = set(np.unique(mask).tolist())
    if not (values <= {0, 1} or values <= {0, 255}):
        raise ValueError(f"{SS}/{name}.png holds {sorted(values)[:4]}, expected 0 and 1, or 0 and 255")
    return image.astype(np.uint8), mask > 0


def _array(path: Path, modes: tuple[str, ...]) -> NDArray:
    try:
        with Image.open(path, formats=["PNG"]) as picture:
            array, mode = np.array(picture), picture.mode
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ValueError(f"{path.parent.name}/{path.name} is damaged ({error})") from None
    if mode not in modes:
        raise ValueError(f"{path.parent.name}/{path.name} has mode {mode}, expected {' or '.join(modes)}")
    return array


def files(name: str, image: NDArray[np.uint8], mask: NDArray[np.bool_]) -> dict[str, bytes]:
    """Relative path -> bytes of one cutout: the image as RGB, the mask as UCG saves it, 1 bit per pixel."""
    return {f"{RGB}/{name}.png": _png(Image.fromarray(image)), f"{SS}/{name}.png": _png(Image.fromarray(mask))}


def _png(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", compress_level=6)
    return buffer.getvalue()


def list_file(known: Iterable[str]) -> bytes:
    return "".join(f"{name}.png\n" for name in known).encode()


def slug(name: str) -> str:
    """What a uid holds of a name: a number gets six digits, so that uids sort as numbers do."""
    return f"{int(name):06d}" if name.isdecimal() else keys.slug(name)
