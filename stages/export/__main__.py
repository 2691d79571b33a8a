"""export: the kept cutouts of every class as folders, in one of several formats.

in       data/cleaned/CLASS.csv, data/refined/CLASS, and data/generated/CLASS for the prompts, if it is there;
         params `classes`
out      the folder that is named, whole or not at all
command  python -m stages.export FORMAT FOLDER
cost     about 5 ms per cutout of 64 px
expect   as many cutouts as `clean` keeps
source   formats are their own documentation: see the files of this folder
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from stages.export import coco_instances, hugging_face, mmseg_folders, ucg_folders
from stages.export.cutout import Cutout, Format
from stages.export.params import Params
from stages.parts.command import command
from stages.parts.datasets.labels import LABELS
from stages.parts.errors import GraftError
from stages.parts.sections import read
from stages.parts.store.keeplist import kept_uids
from stages.parts.store.pictures import check_size
from stages.parts.store.places import check_place
from stages.parts.store.samples import Shards, png_array

FORMATS: dict[str, Format] = {
    "coco": coco_instances.write,
    "hf": hugging_face.write,
    "mmseg": mmseg_folders.write,
    "ucg": ucg_folders.write,
}


@command
def main(argv: Sequence[str] | None = None) -> None:
    arguments = parser().parse_args(argv)
    classes, folder = read(Params).classes, Path(arguments.folder)
    unknown = sorted(set(arguments.classes or []) - set(classes))
    if unknown:
        raise GraftError(f"--class {unknown[0]}: params.yaml classes has {', '.join(classes)}")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise GraftError(f"{folder} is there already; name another folder, or remove it")
    check_place(folder)
    kept = {name: kept_uids(Path(f"data/cleaned/{name}.csv")) for name in arguments.classes or classes}
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f"{folder.name}.", suffix=".tmp", dir=folder.parent) as private:
        unfinished = Path(private) / folder.name  # inside, for the private folder may be read by its owner alone
        unfinished.mkdir()
        with tqdm(cutouts(kept), total=sum(map(len, kept.values())), desc="export", unit="cutout") as progress:
            FORMATS[arguments.format](progress, unfinished, LABELS)
        if folder.exists():
            folder.rmdir()
        unfinished.rename(folder)
    print(f"{folder}: " + ", ".join(f"{len(uids)} {name}" for name, uids in kept.items()))


def cutouts(kept: dict[str, list[str]]) -> Iterator[Cutout]:
    """One cutout in memory at a time. Raises GraftError for a sample that is missing, damaged, or of two sizes."""
    for name, uids in kept.items():
        refined, prompts = Shards(Path("data/refined") / name), prompts_of(name)
        for uid in uids:
            files = refined.read(uid)
            image, mask = png_array(files["image.png"]), png_array(files["mask.png"]) > 0
            check_size(refined.folder, uid, image, mask)
            doubt = png_array(files["doubt.png"]) > 0 if "doubt.png" in files else np.zeros_like(mask)
            check_size(refined.folder, uid, image, doubt, "doubt")
            yield Cutout(uid, name, LABELS.id(name), image, mask, prompts.get(uid, ""), doubt)


def prompts_of(name: str) -> dict[str, str]:
    """uid -> prompt; empty when the generated samples are not here, which a `dvc pull` leaves out."""
    folder = Path("data/generated") / name
    rows = Shards(folder).rows if folder.is_dir() else []
    return {row["uid"]: row["prompt"] for row in rows if row.get("prompt")}


def parser() -> argparse.ArgumentParser:
    formats = "\n".join(f"  {name:6} {(write.__doc__ or '').splitlines()[0]}" for name, write in FORMATS.items())
    result = argparse.ArgumentParser(
        prog="python -m stages.export",
        description="Write the kept cutouts into a new folder.",
        epilog=f"formats:\n{formats}\n\nWhere it says no doubt, a mask is exported whole, and the ring of doubt that "
        "refine.ring records is left out.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    result.add_argument("format", metavar="FORMAT", choices=sorted(FORMATS), help="one of the formats below")
    result.add_argument("folder", metavar="FOLDER", help="where to write; must not be there, or be empty")
    result.add_argument("--class", dest="classes", action="append", metavar="CLASS", help="only this class; repeatable")
    return result


if __name__ == "__main__":
    main()
