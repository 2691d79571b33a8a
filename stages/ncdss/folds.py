"""Count the pictures of a fold of PASCAL-5i or COCO-20i, and compare with what the published lists hold.

    python -m stages.ncdss.folds FOLD LABELS [LIST]

in       LABELS, a folder of masks NAME.png of ids (SegmentationClassAug of VOC, masks_train2014 of COCO);
         LIST, names of the training pictures, one a line (trainaug.txt); without it all masks are counted
out      base, novel and both: the pictures with a base class, with a novel one, with both, and whether each is the
         published number; exit status 2 where one is not
cost     a minute for VOC's 10 582 masks
expect   voc-0: base 8829, novel 2836, both 1083
source   counts of the published lists; no list is copied: the rule makes them again from the annotations
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from stages.parts.command import command
from stages.parts.errors import GraftError


@command
def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m stages.ncdss.folds", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("fold", help="voc-0 to voc-4, or coco-0 to coco-3")
    parser.add_argument("labels", type=Path, help="folder of masks")
    parser.add_argument("names", type=Path, nargs="?", help="the training pictures' names, one a line")
    args = parser.parse_args(argv)
    from stages.parts.discovery import splits  # here, for torch takes seconds to load

    if args.fold not in splits.FOLDS:
        raise GraftError(f"there is no fold {args.fold!r}; take one of {', '.join(splits.FOLDS)}")
    parts = splits.discovery(splits.FOLDS[args.fold][0], (), args.fold)
    found = splits.pictures(classes_of(masks(args.labels, args.names)), parts)
    counted = splits.Published(len(found.base), len(found.novel), len(found.base) - len(found.base_alone))
    published = splits.PUBLISHED.get(args.fold)
    for name, number, wanted in zip(counted._fields, counted, published or [None] * 3, strict=True):
        told = "not published" if wanted is None else "as published" if number == wanted else f"published: {wanted}"
        print(f"{args.fold} {name:6}{number:8}  {told}")
    if published is not None and counted != published:
        raise GraftError(
            f"{args.labels} does not give the published split of {args.fold}; is it the whole training set?"
        )


def masks(folder: Path, names: Path | None) -> list[Path]:
    """The masks, sorted. GraftError where one is missing, or there is none."""
    if names is not None:
        found = [
            folder / f"{Path(line.split()[-1]).stem}.png" for line in names.read_text().splitlines() if line.strip()
        ]
        if lacking := [path for path in found if not path.is_file()]:
            raise GraftError(f"{lacking[0]}: no such mask; {names} names {len(lacking)} pictures without one")
    else:
        found = sorted(folder.glob("*.png"))
    if not found:
        raise GraftError(f"{folder} holds no mask NAME.png; name the folder of the label pictures")
    return found


def classes_of(paths: Sequence[Path]) -> Iterator[tuple[str, list[int]]]:
    """(name, ids that the mask holds) of each: 0 and 255 are no class."""
    for path in tqdm(paths, desc="masks", unit="mask", delay=2):
        with Image.open(path) as mask:
            counts = np.bincount(np.asarray(mask).ravel(), minlength=256)[:255]
        yield path.stem, [int(k) for k in np.flatnonzero(counts) if k]


if __name__ == "__main__":
    main()
