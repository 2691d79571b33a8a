"""Which pictures are whose: base and novel sets, the label space after the remap, and the folds (section 1)."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stages.parts.datasets.label_spaces import COCO, VOC
from stages.parts.datasets.labels import IGNORE, LabelSpace
from stages.parts.datasets.photo_shards import PhotoShards
from stages.parts.errors import GraftError
from stages.parts.learning.rare_classes import class_pixels
from stages.parts.store.shards import Shards

HELD = 64_000_000  # bytes of pictures that are kept in memory

# Novel ids, 1-based. PASCAL-5i and COCO-20i are blocks of ids; the code has a fifth VOC fold that no paper names.
FOLDS = {f"voc-{k}": (VOC, tuple(range(5 * k + 1, 5 * k + 6))) for k in range(4)}
FOLDS |= {"voc-4": (VOC, (8, 10, 12, 13, 17))}
FOLDS |= {f"coco-{k}": (COCO, tuple(range(20 * k + 1, 20 * k + 21))) for k in range(4)}


class Published(NamedTuple):
    """Pictures of a fold's training lists: with a base class, with a novel class, with both."""

    base: int
    novel: int
    both: int


# What the published lists hold, counted: the check of the rule. VOC: the 10 582 of train_aug; COCO: train2014.
PUBLISHED = {
    "voc-0": Published(8829, 2836, 1083), "voc-1": Published(8713, 3604, 1735), "voc-2": Published(7679, 5542, 2639),
    "voc-3": Published(9568, 2145, 1131), "coco-0": Published(62515, 60602, 41036),
    "coco-1": Published(77860, 35683, 31462), "coco-2": Published(78457, 26320, 22696),
    "coco-3": Published(76902, 26892, 21713),
}  # fmt: skip


class Discovery(NamedTuple):
    """The classes of a label space in their two parts: names, in ascending order of their original ids. Background, id
    0, is in neither and counts as base."""

    space: LabelSpace
    base: tuple[str, ...]
    novel: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """After the remap: background, base classes 1 to B, novel classes B + 1 to B + N."""
        return (self.space.names[0], *self.base, *self.novel)

    def remap(self, keep_novel: bool) -> NDArray[np.uint8]:
        """(256,) uint8: an id of the space -> its id after the remap; 255 stays. Without keep_novel a novel class is
        background, as the published base training has it."""
        table = np.full(256, IGNORE, np.uint8)
        table[0] = 0
        for number, name in enumerate(self.names):
            table[self.space.id(name)] = number if keep_novel or name not in self.novel else 0
        return table

    def ids(self, names: Iterable[str]) -> set[int]:
        return {self.space.id(name) for name in names}


def discovery(space: LabelSpace, novel: Sequence[str], fold: str | None) -> Discovery:
    """The two parts of a label space, by the names of its novel classes or by a fold. GraftError for a fold that there
    is not or that is another space's, for a name that is no class, and where no base or no novel class is left."""
    if fold is not None:
        if fold not in FOLDS:
            raise GraftError(f"params.yaml: ncdss.data.fold: there is no fold {fold!r}; take one of {', '.join(FOLDS)}")
        of, ids = FOLDS[fold]
        if of != space:
            raise GraftError(f"params.yaml: ncdss.data.fold {fold} is of {of.title}, not of {space.title}; set labels")
        novel = [space.names[k] for k in ids]
    known = sorted({space.id(name) for name in novel})
    base = [name for k, name in enumerate(space.names) if k and k not in known]
    if 0 in known or not known or not base:
        raise GraftError(
            f"params.yaml: ncdss.data.novel: {space.title} needs at least one novel and one base class, and background "
            "is neither; correct the list"
        )
    return Discovery(space, tuple(base), tuple(space.names[k] for k in known))


class Pictures(NamedTuple):
    """uids of a training set: with a base class; with a novel class; with a base class and no novel one."""

    base: list[str]
    novel: list[str]
    base_alone: list[str]


def pictures(classes: Iterable[tuple[str, Collection[int]]], parts: Discovery) -> Pictures:
    """The published rule, from (uid, original ids that its label holds) of each; one with neither is in none."""
    found = Pictures([], [], [])
    base, novel = parts.ids(parts.base), parts.ids(parts.novel)
    for uid, ids in classes:
        has_base, has_novel = bool(base & set(ids)), bool(novel & set(ids))
        for chosen, into in ((has_base, found.base), (has_novel, found.novel), (has_base and not has_novel, found[2])):
            if chosen:
                into.append(uid)
    return found


def pictures_of(shards: Shards, parts: Discovery) -> Pictures:
    """The same of a labelled set. GraftError where one of the parts has no picture, or a picture has no label."""
    counts = class_pixels(shards)
    found = pictures(((row["uid"], each.keys()) for row, each in zip(shards.rows, counts, strict=True)), parts)
    for name, uids in (("base", found.base), ("novel", found.novel), ("base, and no novel", found.base_alone)):
        if not uids:
            raise GraftError(f"{shards.folder} has no picture of a {name} class; correct ncdss.data in params.yaml")
    return found


class Chosen(PhotoShards):
    """Some photos of a folder, in its order. What was read stays in memory, as long as that is little."""

    def __init__(self, folder: Path | str, uids: Collection[str]) -> None:
        super().__init__(folder)
        wanted = set(uids)
        self.rows = [row for row in self.rows if row["uid"] in wanted]
        self._position = {row["uid"]: number for number, row in enumerate(self.rows)}
        self._held: dict[str, dict[str, bytes]] = {}
        self._room = HELD

    def read(self, uid: str) -> dict[str, bytes]:
        if uid in self._held:
            return self._held[uid]
        files = super().read(uid)
        size = sum(map(len, files.values()))
        if size <= self._room:
            self._held[uid] = files
            self._room -= size
        return files
