"""Saliency of pictures, from a model or from a folder of maps that somebody made before, as the published data has."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from stages.parts.errors import GraftError
from stages.parts.pretrained.saliency import load_saliency
from stages.parts.store.keys import file_hash, slug


class Saliency(Protocol):
    """Which pictures it can tell of, a hash over all that its maps depend on, and (H, W) float32 in [0, 1] of each."""

    def has(self, uid: str) -> bool: ...

    def hash(self) -> str: ...

    def __call__(self, images: Sequence[NDArray[np.uint8]], uids: Sequence[str]) -> list[NDArray[np.float32]]: ...


class Maps:
    """A folder of UID.png, grey, 0 to 255 (or 0 and 1, as some are written)."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.paths = {slug(path.stem): path for path in sorted(folder.glob("*.png"))}

    def has(self, uid: str) -> bool:
        return uid in self.paths

    def hash(self) -> str:
        return file_hash(self.folder)

    def __call__(self, images: Sequence[NDArray[np.uint8]], uids: Sequence[str]) -> list[NDArray[np.float32]]:
        """GraftError for a map of another shape than its picture; another size is brought to the picture's."""
        return [self._of(image, uid) for image, uid in zip(images, uids, strict=True)]

    def _of(self, image: NDArray[np.uint8], uid: str) -> NDArray[np.float32]:
        height, width = image.shape[:2]
        with Image.open(self.paths[uid]) as opened:
            grey = opened.convert("L")
            if abs(grey.width * height - grey.height * width) > max(grey.width, grey.height, height, width):
                raise GraftError(f"{self.paths[uid]} is {grey.size}, its picture {(width, height)}; make it fit")
            values = np.asarray(grey.resize((width, height), Image.Resampling.NEAREST), dtype=np.float32)
        return values / np.float32(255 if values.max(initial=0) > 1 else 1)


class Model:
    """A saliency model (parts/pretrained/saliency.py), which can tell of every picture."""

    def __init__(self, path: Path) -> None:
        self.path, self.model = path, load_saliency(path)

    def has(self, uid: str) -> bool:
        return True

    def hash(self) -> str:
        return file_hash(self.path)

    def __call__(self, images: Sequence[NDArray[np.uint8]], uids: Sequence[str]) -> list[NDArray[np.float32]]:
        return [self.model(image) for image in images]


def read_saliency(source: str) -> Saliency:
    """The maps of a folder that holds PNGs, else the saliency model of a folder or file. GraftError when it is
    neither."""
    path = Path(source)
    if not path.exists():
        raise GraftError(f"params.yaml: ncdss.regions.saliency: there is no {source}; correct it or make it")
    return Maps(path) if any(path.glob("*.png")) else Model(path)
