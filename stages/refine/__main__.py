"""refine: one mask, and every score a cleaner may want, for each generated image of one class.

in       data/generated/CLASS (image, attribution map), params `refine`, the SAM and CLIP that it names
out      data/refined/CLASS: image.png, mask.png, seed.png, attribution.png per sample, and scores.csv
command  python -m stages.refine CLASS
cost     miniature: about 0.05 s per sample on one CPU core; SAM ViT-H needs a GPU
expect   a mask for nearly every sample: `reason` is empty but for rejected images and empty seeds
source   Montalvo et al., "Unsupervised Class Generation to Expand Semantic Segmentation Datasets",
         J. Imaging 2025: attribution -> CRF -> five points -> SAM, best of three by predicted IoU
"""

from __future__ import annotations

import argparse
import csv
import os
from collections.abc import Iterable, Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch

import stages.refine
from stages.params import GraftError, Params, Refine, command, read
from stages.refine.clip import Clip, texts
from stages.refine.refiner import Refined, Refiner, unrefined
from stages.refine.sam import Sam
from stages.refine.table import COLUMNS, cells
from stages.refine.weights import locate
from stages.samples import (
    Sample,
    Shards,
    build,
    code_version,
    file_hash,
    key,
    npy_array,
    png_array,
    png_bytes,
)

PACKAGES = ("numpy", "opencv-python-headless", "pydensecrf2", "torch", "transformers")


@command
def main(argv: Sequence[str] | None = None) -> None:
    arguments = parser().parse_args(argv)
    name, params = arguments.name, checked(read(), arguments.name)
    generated = Shards(Path("data/generated") / name)
    sam, clip = locate(params.sam, "refine.sam"), locate(params.clip, "refine.clip")
    made_by = key(
        params=params.model_dump(exclude={"sam", "clip"}), sam=file_hash(sam), clip=file_hash(clip),
        texts=texts(name), code=code_version(stages.refine), versions=[version(package) for package in PACKAGES],
    )  # fmt: skip
    wanted = {row["uid"]: key(sample=row["sha256"], made_by=made_by) for row in generated.rows}

    def make(uids: list[str]) -> Iterator[Sample]:
        refiner = Refiner(
            Sam(sam, arguments.device), Clip(clip, texts(name), arguments.device),
            params.threshold, params.crf.model_dump(), params.points,
        )  # fmt: skip
        yield from samples(refiner, generated, uids, wanted)

    folder = Path("data/refined") / name
    build(folder, wanted, make, title=f"refine {name}")
    write_table(folder / "scores.csv", Shards(folder).rows)


def samples(refiner: Refiner, generated: Shards, uids: Iterable[str], keys: dict[str, str]) -> Iterator[Sample]:
    """The refined samples of `uids`, one after the other; one that `generate` rejected keeps that reason."""
    rejected = {row["uid"]: row.get("rejected", "") for row in generated.rows}
    for uid in uids:
        files = generated.read(uid)
        image, attribution = png_array(files["image.png"]), npy_array(files["attribution.npy"])
        refined = unrefined(attribution, rejected[uid]) if rejected[uid] else refiner(image, attribution)
        row: dict[str, Any] = {"reason": refined.reason, **refined.scores}
        yield Sample(uid, keys[uid], row, {"image.png": files["image.png"], **pictures(refined)})


def pictures(refined: Refined) -> dict[str, bytes]:
    """mask and seed as 0 / 255, the normalised attribution map as 0 .. 255."""
    return {
        "mask.png": png_bytes(np.where(refined.mask, np.uint8(255), np.uint8(0))),
        "seed.png": png_bytes(np.where(refined.seed, np.uint8(255), np.uint8(0))),
        "attribution.png": png_bytes(np.rint(refined.attribution * 255).astype(np.uint8)),
    }


def write_table(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    """scores.csv, sorted by uid as the rows are; whole or not at all."""
    unfinished = path.with_suffix(".csv.tmp")
    with open(unfinished, "w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(cells(row) for row in rows)
    os.replace(unfinished, path)


def checked(params: Params, name: str) -> Refine:
    """The stage's section, once the class is known to be one of the user's."""
    if name not in params.classes:
        raise GraftError(f"params.yaml classes: {name!r} is not among {', '.join(params.classes)}; add it there")
    return params.refine


def parser() -> argparse.ArgumentParser:
    result = argparse.ArgumentParser(
        prog="python -m stages.refine",
        description="Turn the generated images of one class into masks, and measure every score of each.",
        epilog="Reads data/generated/CLASS and params.yaml, writes data/refined/CLASS. A "
        "stopped run goes on where it was; a sample is made again only when what makes it has changed.",
    )
    result.add_argument("name", metavar="CLASS", help="a class of params.yaml `classes`, such as bus")
    result.add_argument(
        "--device", default="cuda" if torch.cuda.is_available() else "cpu",
        help="where SAM and CLIP run (default here: %(default)s); it is no part of a sample's key",
    )  # fmt: skip
    return result


if __name__ == "__main__":
    main()
