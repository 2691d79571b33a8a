"""Print the picture book: 16 000 captioned pictures to learn from, 1 000 to be examined on.

in    nothing but the seed
out   lines/miniature/data/book/{train,heldout}/{images.npy, masks.npy, pages.json}
command   python -m stages.miniature.book        cost   40 s on one core, 280 MB
expected  about as many pages of each of the 26 subtypes, a twentieth of them grey
source    ours: the procedural pages of stages/miniature/picturebook.py
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from stages.miniature.picturebook import SIDE, page
from stages.parts.command import command
from stages.parts.errors import GraftError

FOLDER = Path("lines/miniature/data/book")
EDITIONS = {"train": (16_000, 1), "heldout": (1_000, 2)}  # pages, seed: no page of one is a page of the other


class Book:
    """A printed edition, memory-mapped: images (N, 64, 64, 3) uint8, masks (N, 64, 64) uint8 0/1, rows of words."""

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
    if u < 0.70:
        return row["caption"]
    if u < 0.80:
        return f"a photo of a {row['subtype']}"
    return f"a photo of a {row['kind']}" if u < 0.90 else row["kind"]


@command
def main(argv: Sequence[str] | None = None) -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args(argv)
    for edition, (count, seed) in EDITIONS.items():
        folder = FOLDER / edition
        folder.mkdir(parents=True, exist_ok=True)
        images = np.empty((count, SIDE, SIDE, 3), np.uint8)
        masks = np.empty((count, SIDE, SIDE), np.uint8)
        rows = []
        for k in tqdm(range(count), desc=f"printing {edition}", unit="page"):
            leaf = page(k, seed)
            images[k], masks[k] = leaf.image, leaf.mask
            rows.append({"kind": leaf.kind, "subtype": leaf.subtype, "place": leaf.place, "caption": leaf.caption})
        np.save(folder / "images.npy", images)
        np.save(folder / "masks.npy", masks)
        (folder / "pages.json").write_text(json.dumps(rows, indent=0, sort_keys=True))


if __name__ == "__main__":
    main()
