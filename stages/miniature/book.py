"""Print the picture book: 16 000 captioned pictures of one object and 12 000 of two or three to learn from, and 1 000
and 600 to be examined on.

in    nothing but the seed
out   lines/miniature/data/book/{train,heldout,groups,groups_heldout}/{images.npy, masks.npy, pages.json}
command   python -m stages.miniature.book        cost   3 min on one core, 480 MB
expected  about as many pages of each of the 26 subtypes in train, of each class in groups; a twentieth of them grey
source    ours: the procedural pages of stages/parts/world/pages.py
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from stages.parts.command import command
from stages.parts.errors import GraftError
from stages.parts.world.pages import SIDE, group_page, page
from stages.parts.world.photos import listed

FOLDER = Path("lines/miniature/data/book")
EDITIONS = {"train": (16_000, 1), "heldout": (1_000, 2)}  # pages, seed: no page of one is a page of the other
SEPARATOR = ";"
GROUPS = {"groups": (12_000, 3), "groups_heldout": (600, 4)}  # of two or three objects


class Book:
    """A printed edition, memory-mapped: images (N, 64, 64, 3) uint8; masks (N, 64, 64) uint8, k on the k-th object that
    the caption names and 0 elsewhere, so 0/1 where there is one; rows of words, the classes and subtypes of a group
    page separated by ";"."""

    def __init__(self, edition: str) -> None:
        folder = FOLDER / edition
        if not (folder / "pages.json").is_file():
            raise GraftError(f"{folder} is not printed yet; run `python -m stages.miniature.book`")
        self.images: NDArray[np.uint8] = np.load(folder / "images.npy", mmap_mode="r")
        self.masks: NDArray[np.uint8] = np.load(folder / "masks.npy", mmap_mode="r")
        self.pages: list[dict[str, str]] = json.loads((folder / "pages.json").read_text())

    def __len__(self) -> int:
        return len(self.pages)

    def captions(self, picks: NDArray[np.int64], rng: np.random.Generator) -> list[str]:
        """A caption for each picked page: mostly the full one, now and then only the subtype's or the class's name,
        so that a short text ("bus") is understood as well as a long one."""
        return [_said(self.pages[k], rng.random()) for k in picks]


def _said(row: dict[str, str], u: float) -> str:
    kinds, subtypes = row["kind"].split(SEPARATOR), row["subtype"].split(SEPARATOR)
    if u < 0.70:
        return row["caption"]
    if len(kinds) > 1:  # as the photos' captions, then with the class names behind, as Dataset Diffusion asks
        spoken = f"{listed(subtypes)} {row['place']}"
        return spoken if u < 0.80 else f"{spoken}; {' '.join(dict.fromkeys(kinds))}"
    if u < 0.80:
        return f"a photo of a {row['subtype']}"
    return f"a photo of a {row['kind']}" if u < 0.90 else row["kind"]


def _single(index: int, seed: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8], dict[str, str]]:
    leaf = page(index, seed)
    words = {"kind": leaf.kind, "subtype": leaf.subtype, "place": leaf.place, "caption": leaf.caption}
    return leaf.image, leaf.mask, words


def _group(index: int, seed: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8], dict[str, str]]:
    leaf = group_page(index, seed)
    kinds, subtypes = SEPARATOR.join(leaf.kinds), SEPARATOR.join(leaf.subtypes)
    words = {"kind": kinds, "subtype": subtypes, "place": leaf.place, "caption": leaf.caption}
    return leaf.image, leaf.instances, words


@command
def main(argv: Sequence[str] | None = None) -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args(argv)
    for edition, (count, seed) in (EDITIONS | GROUPS).items():
        folder, leaf = FOLDER / edition, _group if edition in GROUPS else _single
        folder.mkdir(parents=True, exist_ok=True)
        images = np.empty((count, SIDE, SIDE, 3), np.uint8)
        masks = np.empty((count, SIDE, SIDE), np.uint8)
        rows = []
        for k in tqdm(range(count), desc=f"printing {edition}", unit="page"):
            images[k], masks[k], words = leaf(k, seed)
            rows.append(words)
        np.save(folder / "images.npy", images)
        np.save(folder / "masks.npy", masks)
        (folder / "pages.json").write_text(json.dumps(rows, indent=0, sort_keys=True))


if __name__ == "__main__":
    main()
