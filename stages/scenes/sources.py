"""Where the scenes of a split come from: the small world's renderer, or a folder of the user's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from stages.parts.datasets.folders import Pair, pairs
from stages.parts.datasets.idmaps import IdMap
from stages.parts.datasets.reading import fitted, read_image, read_label
from stages.parts.errors import GraftError
from stages.parts.store.fingerprint import fingerprint
from stages.parts.store.samples import key
from stages.parts.world.streets import Domain, street
from stages.scenes.params import Folder, Scenes

Split = Literal["source", "target", "val", "test", "oracle"]  # oracle: the target's images once more, with their labels
SPLITS: tuple[Split, ...] = ("source", "target", "val", "test")  # what every run of the stage writes
DOMAIN: dict[Split, Domain] = {
    "source": "source", "target": "target", "val": "target", "test": "target", "oracle": "target",
}  # fmt: skip
# The first street of each: val and test show other streets than target, and than one another.
FIRST: dict[Split, int] = {"source": 0, "target": 0, "val": 1_000_000, "test": 2_000_000, "oracle": 0}
CODE = ("stages.scenes.sources", "stages.parts.store.pictures")

Scene = tuple[NDArray[np.uint8], NDArray[np.uint8] | None]


class Source(Protocol):
    """The scenes of one split: their uids, the key of each, and the scene itself."""

    @property
    def uids(self) -> list[str]: ...
    def keys(self) -> dict[str, str]: ...
    def about(self, uid: str) -> dict[str, Any]: ...
    def scene(self, uid: str) -> Scene: ...


def source(split: Split, scenes: Scenes) -> Source:
    """The source of a split. Raises GraftError when its folder is not whole (see folders.pairs), and for the oracle
    when scenes.target names no labels."""
    given = (scenes.splits() | {"oracle": scenes.target})[split]
    size = (scenes.height, scenes.width) if scenes.height and scenes.width else None
    if not isinstance(given, Folder):
        assert size is not None
        return Rendered(split, given, scenes.seed, size)
    if split == "oracle" and given.labels is None:
        raise GraftError("params.yaml: scenes.target has no labels; give it labels and ids, or train another method")
    ids = given.id_map(f"params.yaml scenes.{split}.ids")
    try:
        found = pairs(Path(given.images), Path(given.labels) if given.labels else None, ids)
    except GraftError as error:
        raise GraftError(f"scenes.{split}: {error}") from None
    return Filed(ids, size, {f"{split}-{pair.slug}": pair for pair in found})


@dataclass(frozen=True)
class Rendered:
    """Scenes of the small world by number."""

    split: Split
    count: int
    seed: int
    size: tuple[int, int]

    @property
    def uids(self) -> list[str]:
        return [f"{self.split}-{k:06d}" for k in range(self.count)]

    def keys(self) -> dict[str, str]:
        made_by: dict[str, Any] = {"seed": self.seed, "size": self.size, "code": fingerprint(*CODE)}
        return {uid: key(split=self.split, k=k, **made_by) for k, uid in enumerate(self.uids)}

    def about(self, uid: str) -> dict[str, Any]:
        return {}

    def scene(self, uid: str) -> Scene:
        """(H, W, 3) uint8 RGB and (H, W) uint8 train ids; None for target, whose labels nothing may look at."""
        index = FIRST[self.split] + int(uid.removeprefix(f"{self.split}-"))
        image, label = street(index, self.seed, DOMAIN[self.split], *self.size)
        return image, (label if self.split != "target" else None)


@dataclass(frozen=True)
class Filed:
    """Scenes of a folder, brought to one size or (None) as they are; a uid is the split and the file's name."""

    ids: IdMap
    size: tuple[int, int] | None
    found: Mapping[str, Pair]

    @property
    def uids(self) -> list[str]:
        return list(self.found)

    def keys(self) -> dict[str, str]:
        """Over names and bytes of the files: a changed label is read again, an untouched one is not."""
        return {
            uid: key(content=pair.hash(), file=pair.name, made_by=self._made_by)
            for uid, pair in tqdm(self.found.items(), desc="reading", unit="image", delay=2, leave=False)
        }

    @cached_property
    def _made_by(self) -> list[Any]:
        table = [sorted([list(value), to] for value, to in self.ids.colours.items()), sorted(self.ids.ids.items())]
        return [table, self.size, fingerprint(*CODE)]

    def about(self, uid: str) -> dict[str, Any]:
        return {"file": self.found[uid].name}

    def scene(self, uid: str) -> Scene:
        """(H, W, 3) uint8 RGB and (H, W) uint8 train ids, 255 = ignore; None where the folder has no labels."""
        pair = self.found[uid]
        image = read_image(pair.image, labelled=pair.label is not None)
        label = read_label(pair, self.ids, (image.shape[0], image.shape[1])) if pair.label else None
        return fitted(image, label, self.size)
