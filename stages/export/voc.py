"""export the photos as Pascal VOC's folders: JPEGImages, SegmentationClass, ImageSets/Segmentation.

in       data/photos/{train,val,test}, or another folder of splits in the same form
out      the folder that is named, whole or not at all: JPEGImages/UID.jpg as they are stored, SegmentationClass/UID.png
         (palette images of class ids, 255 = ignore), ImageSets/Segmentation/{train,val,trainval,test}.txt, labels.txt
         (the class names in the order of their ids), captions.csv (uid, caption)
command  python -m stages.export.voc FOLDER [--photos data/photos]
cost     about a millisecond per photo
expect   as many pictures as data/photos has
source   Everingham et al., "The Pascal Visual Object Classes Challenge", IJCV 2010
"""

from __future__ import annotations

import argparse
import csv
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from stages.export.mmseg_folders import palette_png
from stages.parts.command import command
from stages.parts.datasets.label_spaces import SMALL_VOC
from stages.parts.datasets.photo_shards import STORED
from stages.parts.errors import GraftError
from stages.parts.store.samples import Shards, png_array

SETS = {"train": ("train",), "val": ("val",), "trainval": ("train", "val"), "test": ("test",)}
SPLITS = ("train", "val", "test")


@command
def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m stages.export.voc", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", metavar="FOLDER", type=Path, help="where to write; must not be there, or be empty")
    parser.add_argument("--photos", type=Path, default=Path("data/photos"), help="default: %(default)s")
    arguments = parser.parse_args(argv)
    folder: Path = arguments.folder
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise GraftError(f"{folder} is there already; name another folder, or remove it")
    splits = {split: Shards(arguments.photos / split) for split in SPLITS}
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f"{folder.name}.", suffix=".tmp", dir=folder.parent) as private:
        unfinished = Path(private) / folder.name  # inside, for the private folder may be read by its owner alone
        write(splits, unfinished)
        if folder.exists():
            folder.rmdir()
        unfinished.rename(folder)
    print(f"{folder}: " + ", ".join(f"{len(shards)} {split}" for split, shards in splits.items()))


def write(splits: dict[str, Shards], folder: Path) -> None:
    """Splits of photos into a new folder. GraftError for a damaged sample."""
    pictures, labels, sets = folder / "JPEGImages", folder / "SegmentationClass", folder / "ImageSets/Segmentation"
    for each in (pictures, labels, sets):
        each.mkdir(parents=True)
    captions = []
    with tqdm(total=sum(map(len, splits.values())), desc="export", unit="photo", delay=2) as progress:
        for shards in splits.values():
            for row, files in shards:
                (pictures / f"{row['uid']}.jpg").write_bytes(files[STORED])
                palette_png(png_array(files["label.png"]), SMALL_VOC).save(labels / f"{row['uid']}.png")
                captions.append((row["uid"], row["caption"]))
                progress.update()
    for name, members in SETS.items():
        uids = [row["uid"] for split in members for row in splits[split].rows]
        (sets / f"{name}.txt").write_text("".join(f"{uid}\n" for uid in uids))
    (folder / "labels.txt").write_text("".join(f"{name}\n" for name in SMALL_VOC.names))
    with open(folder / "captions.csv", "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("uid", "caption"), *captions])


if __name__ == "__main__":
    main()
