"""Segment the photos and count what is right: on `val`, for choosing, and on `test`, for reporting.

in       models/dataset_diffusion/VARIANT-SEED.safetensors, data/photos/{val,test}
out      data/dataset_diffusion/evaluated/VARIANT-SEED/: scores.json (of each split the confusion matrix, IoU of every
         class, mIoU, pixel accuracy, in percent), examples/ (prediction.png of the first photos of test)
command  python -m stages.dataset_diffusion.evaluate VARIANT SEED
cost     ten seconds on one core
expect   supervised is the best
source   IoU as Pascal VOC has it, over the whole set, background included; several scales and mirror images
         (`evaluate.scales`, `evaluate.flip`) as mmsegmentation's test-time augmentation
"""

from __future__ import annotations

import argparse
import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from stages.dataset_diffusion.params import Evaluate, Params
from stages.dataset_diffusion.train import WEIGHTS
from stages.parts.command import command
from stages.parts.datasets.label_spaces import label_space
from stages.parts.datasets.photo_shards import PhotoShards
from stages.parts.errors import GraftError
from stages.parts.sections import read
from stages.parts.store.atomic import write_changed
from stages.parts.store.samples import Sample, build, file_hash, key, png_array, png_bytes

if TYPE_CHECKING:
    from mmseg.models import BaseSegmentor

FOLDER = Path("data/dataset_diffusion/evaluated")
SPLITS = ("val", "test")
EXAMPLES = 8


@command
def main(argv: Sequence[str] | None = None) -> None:
    variant, seed = _arguments(argv)
    params = read(Params)
    line = params.dataset_diffusion
    from mmengine.device import get_device  # here, for torch and mmseg take seconds to load

    from stages.parts.segmenter.further import load_halves

    weights, folder = WEIGHTS / f"{variant}-{seed}.safetensors", FOLDER / f"{variant}-{seed}"
    model, classes = load_halves(weights, f"run `python -m stages.dataset_diffusion.train {variant} {seed}`")
    if classes != label_space(line.space).names:
        raise GraftError(
            f"{weights} was trained for the classes {', '.join(classes)}, and dataset_diffusion.space is {line.space}; "
            f"train it again"
        )
    model.to(get_device())
    photos = {split: PhotoShards(Path(line.photos) / split).verify() for split in SPLITS}
    told = {split: measured(model, photos[split], classes, line.evaluate) for split in SPLITS}
    examples = told["test"][1]
    uids = [row["uid"] for row in photos["test"].rows[:EXAMPLES]]
    wanted = {uid: key(weights=file_hash(weights), how=line.evaluate.model_dump(), uid=uid) for uid in uids}
    build(
        folder / "examples",
        wanted,
        lambda missing: (Sample(k, wanted[k], {}, {"prediction.png": png_bytes(examples[k])}) for k in missing),
        title=f"evaluate {variant}-{seed}",
    )
    result = {"variant": variant, "seed": seed, "classes": classes} | {split: told[split][0] for split in SPLITS}
    write_changed(folder / "scores.json", json.dumps(result, indent=1) + "\n")


def measured(
    model: BaseSegmentor, photos: PhotoShards, classes: Sequence[str], how: Evaluate
) -> tuple[dict[str, Any], dict[str, NDArray[np.uint8]]]:
    """{"confusion", "IoU", "mIoU", "pixel_accuracy"} of a split, and uid -> prediction of its first photos.

    A class that the split lacks has no IoU (None) and is in no mean. GraftError for an empty split, a photo without
    label, and a label with an id that is no class."""
    import torch

    from stages.parts.measure.confusion import confusion, scores
    from stages.parts.segmenter.multi_scale import predict_scales

    if not photos.rows:
        raise GraftError(f"{photos.folder} holds no photo; run the stage that writes it")
    matrix, examples = np.zeros((len(classes), len(classes)), np.int64), {}
    shown = {row["uid"] for row in photos.rows[:EXAMPLES]}
    batches = list(same_size(photos.rows, how.batch))
    for uids in tqdm(batches, desc=f"evaluate on {photos.folder.name}", unit="batch", delay=2, leave=False):
        files = [photos.read(uid) for uid in uids]
        images = [png_array(each["image.png"]) for each in files]
        for uid, each, found in zip(uids, files, predict_scales(model, images, how.scales, how.flip), strict=True):
            if "label.png" not in each:
                raise GraftError(f"{photos.folder}: photo {uid} has no label.png; label it, or take it out")
            truth = png_array(each["label.png"])
            try:
                matrix += confusion(torch.from_numpy(truth), torch.from_numpy(found), len(classes)).numpy()
            except ValueError as error:
                raise GraftError(f"{photos.folder}: photo {uid}: {error}; correct its label.png") from None
            if uid in shown:
                examples[uid] = found
    told = scores(matrix, classes, ())
    return {"confusion": matrix.tolist()} | {name: told[name] for name in ("IoU", "mIoU", "pixel_accuracy")}, examples


def same_size(rows: Sequence[Mapping[str, Any]], batch: int) -> Iterator[list[str]]:
    """All uids, in batches of neighbours of one size."""
    for _, group in itertools.groupby(rows, key=lambda row: (row["height"], row["width"])):
        uids = [row["uid"] for row in group]
        yield from (uids[start : start + batch] for start in range(0, len(uids), batch))


def _arguments(argv: Sequence[str] | None) -> tuple[str, int]:
    parser = argparse.ArgumentParser(
        prog="python -m stages.dataset_diffusion.evaluate",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("variant", metavar="VARIANT", help="the variant of a trained segmenter")
    parser.add_argument("seed", type=int, help="its seed")
    args = parser.parse_args(argv)
    return args.variant, args.seed


if __name__ == "__main__":
    main()
