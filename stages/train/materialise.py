"""Write a source set with the cutouts pasted in, for training code that cannot paste: DAFormer, HRDA, MIC as published.

    python -m stages.train.materialise RECIPE SEED FOLDER [--passes N]

in      data/scenes/source/, data/cutouts/RECIPE/, the section `train.paste` of params.yaml
out     FOLDER/images/NAME.png, FOLDER/labels/NAME_labelTrainIds.png (uint8 train ids, 255 = ignored),
        FOLDER/sample_class_stats.json, FOLDER/samples_with_class.json: the layout of their GTA converter
cost    about 40 images of 1280 x 760 in a second and core
expect  each of the N passes holds every source image once, each time with other cutouts
source  pasting as in training (paste.py): image k of pass n is what draw n * images + k would paste
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tqdm import tqdm

from stages.parts.command import command, seed
from stages.parts.datasets.labels import LABELS
from stages.parts.errors import GraftError
from stages.parts.sections import read
from stages.parts.store.atomic import write_whole
from stages.parts.store.lock import LOCK, alone
from stages.parts.store.places import check_place
from stages.parts.store.samples import Shards, png_array, png_bytes
from stages.train.params import Params

if TYPE_CHECKING:
    from stages.parts.pasting.paste import PasteCutouts


@command
def main(argv: Sequence[str] | None = None) -> None:
    args = _arguments(argv)
    check_place(args.folder)
    from stages.parts.pasting.paste import read_bank  # here, for torch and mmseg take seconds to load
    from stages.train import setup

    train = read(Params).train
    source, bank = Shards("data/scenes/source"), Shards(f"data/cutouts/{args.recipe}")
    if not source.rows:
        raise GraftError(f"{source.folder} holds no image; run the stage scenes with scenes.source >= 1")
    paste = setup.pasting(train.paste, read_bank(bank, LABELS))
    with alone(args.folder):
        if any(path.name != LOCK for path in args.folder.iterdir()):
            raise GraftError(f"{args.folder} is not empty; name a folder that is, or that does not exist yet")
        write(args, source, paste)


def write(args: argparse.Namespace, source: Shards, paste: PasteCutouts) -> None:
    """Every pass over the source, and the two tables."""
    from stages.parts.learning.branches import read_label
    from stages.parts.learning.rare_classes import count

    images, labels = args.folder / "images", args.folder / "labels"
    pixels: dict[str, dict[int, int]] = {}
    for draw in tqdm(range(args.passes * len(source)), desc="materialise", unit="image"):
        turn, place = divmod(draw, len(source))
        uid = source.rows[place]["uid"]
        files = source.read(uid)
        image = png_array(files["image.png"])
        label = read_label(files, image, LABELS, f"{source.folder}: sample {uid}")
        pasted = paste.transform({"seed": args.seed, "draw": draw, "img": image, "gt_seg_map": label})
        name = f"{uid}-{turn:03d}"
        write_whole(images / f"{name}.png", png_bytes(pasted["img"]))
        write_whole(labels / f"{name}_labelTrainIds.png", png_bytes(pasted["gt_seg_map"]))
        pixels[f"labels/{name}_labelTrainIds.png"] = count(pasted["gt_seg_map"])
    for name, table in class_tables(pixels).items():
        write_whole(args.folder / name, json.dumps(table, indent=1) + "\n")


def class_tables(pixels: dict[str, dict[int, int]]) -> dict[str, object]:
    """{label file: {train id: pixels}} -> the two tables that DAFormer's rare class sampling reads.

    sample_class_stats.json: [{"file": ..., "0": pixels, ...}, ...]
    samples_with_class.json: {"0": [[file, pixels], ...], ...}
    """
    classes = sorted({c for counts in pixels.values() for c in counts})
    return {
        "sample_class_stats.json": [
            {"file": file} | {str(c): n for c, n in counts.items()} for file, counts in pixels.items()
        ],
        "samples_with_class.json": {
            str(c): [[file, counts[c]] for file, counts in pixels.items() if c in counts] for c in classes
        },
    }


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m stages.train.materialise",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("recipe", help="a folder of data/cutouts/, for example grafted")
    parser.add_argument("seed", type=seed, help="seed of the pasting, as of a training")
    parser.add_argument("folder", type=Path, help="where to; empty, or not there yet")
    parser.add_argument("--passes", type=int, default=1, help="times that each source image is written")
    args = parser.parse_args(argv)
    if args.passes < 1:
        raise GraftError(f"--passes must be 1 or more (it is {args.passes})")
    return args


if __name__ == "__main__":
    main()
