"""Take the photos: captioned, labelled pictures of one to three objects, the small world's Pascal VOC.

in        params.yaml: photos
out       data/photos/{train,val,test}/: shards of image.jpg (RGB) and label.png (uint8 ids of label space small_voc:
          0 = background, 1 to 6 car, truck, bus, train, person, motorcycle; 255 = ignore, a pixel around each object).
          A row has the caption, the place, the classes (in the caption's order) and subtypes, and counts the pixels of
          every class. parts/store/photo_shards.py reads them as PNG; `python -m stages.export.voc` writes VOC's folders
command   python -m stages.photos
cost      20 s on one core for 2 100 photos of 64 x 64, 8 MB; a rerun keeps what its key still matches
expected  about 45 % of the photos show more than one class
source    the procedural photos of stages/parts/world; VOC: Everingham et al., IJCV 2010
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from stages.parts.command import command
from stages.parts.datasets.photo_shards import STORED, jpeg_bytes
from stages.parts.sections import read
from stages.parts.store.fingerprint import fingerprint
from stages.parts.store.samples import Sample, build, key, png_bytes
from stages.parts.world.photos import SPLITS, Photo, Split, photo
from stages.photos.params import Params, Photos

FOLDER = Path("data/photos")
CODE = ("stages.parts.world.photos", "stages.parts.datasets.photo_shards")


@command
def main(argv: Sequence[str] | None = None) -> None:
    argparse.ArgumentParser(
        prog="python -m stages.photos", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    ).parse_args(argv)
    photos = read(Params).photos
    for split in SPLITS:
        write(split, photos)


def write(split: Split, photos: Photos) -> None:
    """The shards of one split."""
    made_by = {"side": photos.side, "seed": photos.seed, "code": fingerprint(*CODE)}
    wanted = {f"{split}-{k:06d}": key(split=split, k=k, **made_by) for k in range(getattr(photos, split))}

    def make(uids: list[str]) -> Iterator[Sample]:
        for uid in uids:
            yield sample(uid, wanted[uid], photo(int(uid.removeprefix(f"{split}-")), photos.seed, split, photos.side))

    build(FOLDER / split, wanted, make, title=f"photos {split}")


def sample(uid: str, made_by: str, taken: Photo) -> Sample:
    """One photo as it is stored."""
    ids, pixels = np.unique(taken.label, return_counts=True)
    row = {
        "height": taken.label.shape[0],
        "width": taken.label.shape[1],
        "caption": taken.caption,
        "place": taken.place,
        "classes": taken.classes,
        "subtypes": [thing.subtype for thing in taken.objects],
        "pixels": {str(i): int(n) for i, n in zip(ids, pixels, strict=True)},
    }
    return Sample(uid, made_by, row, {STORED: jpeg_bytes(taken.image), "label.png": png_bytes(taken.label)})


if __name__ == "__main__":
    main()
