"""PriMaPs-EM on real streets: 160 frames of CamVid, 11 classes, with a ViT-S/14 that is not ours to ship.

command  python -m tests.benchmarks.primaps_camvid FOLDER [--seeds 0 1 2]
needs    FOLDER/camvid (images, labels, split.csv) and FOLDER/weights/vit_s14_dinov2_shape_finetuned.safetensors
cost     ten minutes on one core
says     Acc and mIoU of k-means, EM, the ceiling of the proposals and a linear probe on the 40 frames of test; the
         proposals of five frames in data/shown. The frames of train are learned from without their labels; the last
         20 of them stand for val too: the probe learns from their labels, and em_best is chosen on them
"""

from __future__ import annotations

import argparse
import csv
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ruamel.yaml import YAML

from stages.parts.sections import read
from stages.primaps import evaluate, fit, initialise, propose, show, summary
from stages.primaps.params import Params
from tests.benchmarks.dinov2 import dinov2_folder

WEIGHTS = "weights/vit_s14_dinov2_shape_finetuned.safetensors"


def staged(folder: Path, here: Path) -> dict[str, list[str]]:
    """The frames of each split, copied to here/SPLIT/{images,labels}."""
    with open(folder / "camvid/split.csv") as file:
        rows = list(csv.DictReader(file))
    train, test = ([row["name"] for row in rows if row["split"] == split] for split in ("train", "test"))
    splits = {"learn": train, "val": train[-20:], "test": test}
    for split, names in splits.items():
        for kind in ("images", "labels"):
            (here / split / kind).mkdir(parents=True)
            for name in names:
                shutil.copy(folder / "camvid" / kind / name, here / split / kind / name)
    return splits


def settings(params: Params, seeds: list[int]) -> dict[str, Any]:
    """params.yaml's section for CamVid: one pass of a patch of 14, and a CRF for pictures of 320 pixels."""
    values = params.model_dump()
    data = {
        split: {"images": f"{split}/images", "labels": f"{split}/labels", "ids": "camvid"}
        for split in ("learn", "val", "test")
    }
    far = {"bilateral_xy": 40.0}
    values["primaps"] |= {
        "sets": ["camvid"], "seeds": seeds, "backbone": "vit", "shifts": 1,
        "datasets": {"camvid": data | {"labels": "cityscapes", "clusters": 11, "pictures": None}},
        "size": {"shortest": 322, "square": False, "multiple": 14},
    }  # fmt: skip
    values["primaps"]["propose"] |= {"least": 3, "batch": 8, "crf": values["primaps"]["propose"]["crf"] | far}
    values["primaps"]["evaluate"]["crf"] |= far
    values["primaps"]["fit"] |= {"epochs": 40}
    return values


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--out", type=Path, default=Path("data/shown"))
    arguments = parser.parse_args(argv)
    values, out = settings(read(Params), arguments.seeds), arguments.out.absolute()
    weights = (arguments.folder / WEIGHTS).absolute()
    with TemporaryDirectory() as name:
        splits = staged(arguments.folder, Path(name))
        os.chdir(name)
        dinov2_folder(weights, Path("vit"))
        with open("params.yaml", "w") as file:
            YAML().dump(values, file)
        show.main([*(f"test/images/{frame}" for frame in splits["test"][::8]), "--out", str(out)])
        propose.main(["camvid"])
        for seed in map(str, arguments.seeds):
            initialise.main(["camvid", seed])
            fit.main(["camvid", seed])
        evaluate.main(["camvid"])
        summary.main([])


if __name__ == "__main__":
    main()
