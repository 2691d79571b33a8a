"""A user's dataset: a folder of images, one of labels, and the id map that says what the labels mean.

Nothing is ever written into these folders. Every fault is one sentence that names the file and the fix.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from stages.parts.datasets.idmaps import IdMap, Layout
from stages.parts.datasets.listing import end_of, files_below
from stages.parts.errors import GraftError
from stages.parts.store.keys import slug

PICTURES = (".png", ".jpg", ".jpeg")
SUFFIXES = "where the files are named otherwise, give the ends of their names as img_suffix and seg_map_suffix"
# What published sets and their converters keep beside the labels that are read: no labels where those end in .png.
BESIDE = (
    "_labelTrainIds.png", "_labelIds.png", "_instanceIds.png", "_instanceTrainIds.png", "_color.png", "_train_id.png",
    "_train_color.png", "_panoptic.png", "_invGray.png", "_invIds.png",
)  # fmt: skip


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

    Raises GraftError for a missing or empty folder, an image without label, a label without image, two names that
    would be the same sample, and whatever listing.files_below names."""
    layout = _layout(labels, ids)
    pictures = _found(images, _image_ends(layout))
    if labels is None:
        return _distinct([Pair(name, path, None) for name, path in pictures.items()])
    drawn = _found(labels, (layout.seg_map_suffix,))
    if alone := sorted(drawn.keys() - pictures.keys()):
        image = f"{images / alone[0]}{layout.img_suffix or '.*'}"
        raise GraftError(f"{drawn[alone[0]]} is a label without its image {image}{_more(alone)}; {SUFFIXES}")
    alone = sorted(pictures.keys() - drawn.keys())
    if alone and not ids.partial:
        wanted = labels / (alone[0] + layout.seg_map_suffix)
        raise GraftError(f"{pictures[alone[0]]} is an image without its label {wanted}{_more(alone)}; {SUFFIXES}")
    return _distinct([Pair(name, pictures[name], drawn[name]) for name in drawn])


def check_folders(images: Path, labels: Path | None, ids: IdMap) -> None:
    """GraftError for a folder that is missing or holds no picture. It stops at the first picture, however many there
    are: whether each has its label, `pairs` tells."""
    layout = _layout(labels, ids)
    _check(images, _image_ends(layout))
    if labels is not None:
        _check(labels, (layout.seg_map_suffix,))


def _layout(labels: Path | None, ids: IdMap) -> Layout:
    """The first of the map's layouts of which the folder holds a label; the plainest, its last, where none is held."""
    if labels is None or not labels.is_dir():
        return ids.layouts[-1]
    return next((one for one in ids.layouts if any(_labels(labels, one.seg_map_suffix))), ids.layouts[-1])


def _labels(folder: Path, end: str) -> Iterator[Path]:
    """The files of a folder that end so, without those of another kind of label."""
    others = tuple(other for other in BESIDE if not end.endswith(other))
    return (path for path in files_below(folder, (end,)) if not end_of(path.name, others))


def _check(folder: Path, ends: tuple[str, ...]) -> None:
    if not folder.is_dir():
        raise GraftError(f"{folder}: no such folder; correct the path in params.yaml (it counts from the repo's root)")
    if not any(files_below(folder, ends)):
        raise GraftError(f"{folder} holds no file that ends in {' or '.join(ends)}; correct the path in params.yaml")


def _image_ends(layout: Layout) -> tuple[str, ...]:
    return (layout.img_suffix,) if layout.img_suffix else PICTURES


def _found(folder: Path, ends: tuple[str, ...]) -> dict[str, Path]:
    """Relative name without its end -> path, of every file below the folder that ends so."""
    _check(folder, ends)
    found: dict[str, Path] = {}
    for path in _labels(folder, ends[0]) if len(ends) == 1 else files_below(folder, ends):
        name = path.relative_to(folder).as_posix()
        stem = name[: len(name) - len(end_of(path.name, ends))]
        if stem in found:
            raise GraftError(f"{found[stem]} and {path} are two pictures of one name; remove one")
        found[stem] = path
    return found


def _more(names: list[str]) -> str:
    return f" (and {len(names) - 1} more)" if len(names) > 1 else ""


def _distinct(found: list[Pair]) -> list[Pair]:
    slugs: dict[str, Pair] = {}
    for pair in sorted(found, key=lambda pair: pair.name):
        other = slugs.setdefault(pair.slug, pair)
        if other is not pair:
            raise GraftError(f"{other.image} and {pair.image} would both be the sample {pair.slug}; rename one")
    return list(slugs.values())
