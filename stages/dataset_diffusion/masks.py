"""A label map for every drawing, from the maps of its class words: thresholds, and what refines them.

in       data/dataset_diffusion/drawings/PROMPT/, PROMPT being `masks.prompt` of the variant; the model of `masks.snap`
out      data/dataset_diffusion/masks/VARIANT/: shards of mask.png (palette PNG, class ids, 255 = ignored); a row names
         its drawing and the drawing's hash, so that whoever reads the masks knows the pictures. Rejected drawings have
         none; a variant that trains on no drawing has an empty folder
command  python -m stages.dataset_diffusion.masks VARIANT
cost     small world: a millisecond a picture, 40 with SAM; a changed threshold is a second of work
expect   about 5 % of the pixels are 255 with the published thresholds
source   Nguyen et al., Dataset Diffusion (NeurIPS 2023), section 3.3; presence, margin, CRF and SAM are ours
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.dataset_diffusion.generate import FOLDER as DRAWINGS
from stages.dataset_diffusion.params import Masks, Params
from stages.parts.command import command
from stages.parts.datasets.label_spaces import label_space
from stages.parts.datasets.labels import LabelSpace
from stages.parts.datasets.palette import palette_png_bytes
from stages.parts.datasets.photo_shards import PhotoShards
from stages.parts.errors import GraftError
from stages.parts.pretrained.weights import locate
from stages.parts.sections import read
from stages.parts.store.fingerprint import fingerprint
from stages.parts.store.samples import Sample, Shards, build, file_hash, key, npy_array, png_array

FOLDER = Path("data/dataset_diffusion/masks")
CODE = ("stages.dataset_diffusion.labelling", "stages.parts.datasets.palette")  # what makes a sample's bytes


@command
def main(argv: Sequence[str] | None = None) -> None:
    variant = _arguments(argv)
    params = read(Params)
    line = params.dataset_diffusion
    line.check_variant(variant)
    settings, labels = line.masks_of(variant), label_space(line.space)
    rows = drawn(settings, line.space) if line.train_of(variant).drawn else []
    snap = locate(settings.snap.model, "dataset_diffusion.masks.snap.model") if rows and settings.snap.model else None
    common = {
        **settings.model_dump(exclude={"prompt"}),
        "space": line.space,
        "weights": file_hash(snap) if snap else None,
        "threads": params.engine.threads,
        "code": fingerprint(*CODE),
    }
    wanted = {row["uid"]: key(drawing=row["sha256"], **common) for row in rows}

    def make(missing: list[str]) -> Iterator[Sample]:
        from stages.dataset_diffusion.labelling import open_labeller  # here: nothing to make loads no torch

        drawings, labeller = PhotoShards(DRAWINGS / settings.prompt), open_labeller(settings, snap)
        lacking = set(missing)
        for row in rows:
            if row["uid"] in lacking:
                files = drawings.read(row["uid"])
                image, maps = png_array(files["image.png"]), npy_array(files["maps.npy"])
                ids = [labels.id(name) for name in row["classes"]]
                label = labeller(image, maps[row["powers"].index(settings.power)], ids, row["peaks"])
                yield sample(row, label, wanted[row["uid"]], labels)

    build(FOLDER / variant, wanted, make, title=f"masks {variant}")


def drawn(settings: Masks, space: str) -> list[dict[str, Any]]:
    """The rows of the drawings that are of use. GraftError for drawings that are not there, of another label space, or
    without the power; how many were rejected, and why, goes to stderr."""
    folder = DRAWINGS / settings.prompt
    rows = Shards(folder).rows
    again = f"run `python -m stages.dataset_diffusion.generate {settings.prompt}`"
    if other := next((row["space"] for row in rows if row["space"] != space), None):
        raise GraftError(
            f"{folder} was drawn for the classes of {other}, and dataset_diffusion.space is {space}; {again}"
        )
    if any(settings.power not in row["powers"] for row in rows):
        raise GraftError(
            f"{folder} has no maps of power {settings.power}; add it to dataset_diffusion.powers and {again}"
        )
    rejected = Counter(row["rejected"] for row in rows if row["rejected"])
    if rejected:
        reasons = ", ".join(f"{count} {reason}" for reason, count in sorted(rejected.items()))
        print(f"{folder}: {rejected.total()} of {len(rows)} drawings are left out ({reasons})", file=sys.stderr)
    return [row for row in rows if not row["rejected"]]


def sample(row: dict[str, Any], label: NDArray[np.uint8], name: str, labels: LabelSpace) -> Sample:
    """The mask of a drawing with this row; `name` is its key."""
    about = {
        "drawing": row["sha256"],
        "pixels": {str(k): int(n) for k, n in enumerate(np.bincount(label.ravel(), minlength=256)) if n},
        "height": label.shape[0],
        "width": label.shape[1],
    }
    return Sample(row["uid"], name, about, {"mask.png": palette_png_bytes(label, labels.palette)})


def _arguments(argv: Sequence[str] | None) -> str:
    parser = argparse.ArgumentParser(
        prog="python -m stages.dataset_diffusion.masks",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("variant", metavar="VARIANT", help="a variant of params.yaml dataset_diffusion.changes")
    variant: str = parser.parse_args(argv).variant
    return variant


if __name__ == "__main__":
    main()
