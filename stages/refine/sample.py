"""A sample's files and row: what refine reads of a generated one, and what it leaves of it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from stages.parts.store.keys import key
from stages.parts.store.pictures import check_size, npy_array, png_array, png_bytes
from stages.refine.refiner import Raw, Refined

CUT = ("image.png", "mask.png", "doubt.png", "alpha.png")  # what a cutout is made of


def raw(folder: Path, uid: str, files: Mapping[str, bytes], rejected: str) -> Raw:
    """What generate left of one sample. GraftError when its map or its mask is not of its image's size."""
    image = png_array(files["image.png"])
    if "mask.png" in files:
        mask = png_array(files["mask.png"]) > 0
        check_size(folder, uid, image, mask)
        return Raw(image, mask.astype(np.float32), rejected, mask=mask)
    attribution = npy_array(files["attribution.npy"])
    check_size(folder, uid, image, attribution, "map")
    names = ("self_attention.npy", "cross_attention.npy")
    return Raw(image, attribution, rejected, *(npy_array(files[name]) if name in files else None for name in names))


def written(image: bytes, refined: Refined) -> tuple[dict[str, Any], dict[str, bytes]]:
    """The row and the files of a refined sample; `image` is its picture as it came, a PNG."""
    files = {"image.png": image, **pictures(refined)}
    return {"reason": refined.reason, **refined.scores, "cut": cut(files)}, files


def pictures(refined: Refined) -> dict[str, bytes]:
    """mask, seed and doubt as 0 / 255, the normalised attribution map and the opacity as 0 .. 255."""
    found = {
        "mask.png": png_bytes(np.where(refined.mask, np.uint8(255), np.uint8(0))),
        "seed.png": png_bytes(np.where(refined.seed, np.uint8(255), np.uint8(0))),
        "attribution.png": png_bytes(np.rint(refined.attribution * 255).astype(np.uint8)),
    }
    if refined.edge is not None:
        found["doubt.png"] = png_bytes(np.where(refined.edge.doubt, np.uint8(255), np.uint8(0)))
        found["alpha.png"] = png_bytes(refined.edge.alpha)
    return found


def cut(files: Mapping[str, bytes]) -> str:
    """What stage cutouts knows a sample by: equal pictures are an equal cutout, whatever their scores."""
    return key(**{name: hashlib.sha256(files[name]).hexdigest() for name in CUT if name in files})
