"""Segment the labelled target images and count what is right.

    python -m stages.evaluate RECIPE SEED

in      models/segmenters/RECIPE-SEED.safetensors, data/scenes/val/, `classes` and the section
        `evaluate` of params.yaml
out     data/evaluated/RECIPE-SEED/ (prediction.png of every image),
        metrics/evaluate/RECIPE-SEED.json (confusion matrix; IoU, boundary IoU and accuracy of every class,
        means; what car, truck, bus and train are taken for)
cost    a few seconds on one core with the default params
expect  baseline: novel_mIoU near 0
source  IoU as in Cityscapes and mmsegmentation, boundary IoU of Cheng et al. 2021; what counts in a mean is
        told in confusion.py, how an image is looked at in predict.py
"""

from __future__ import annotations

import argparse
import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from mmengine.device import get_device
from numpy.typing import NDArray
from tqdm import tqdm

from stages.evaluate.params import Evaluate, Params
from stages.parts.command import command
from stages.parts.errors import GraftError
from stages.parts.measure.boundary import boundary_areas, boundary_scores
from stages.parts.measure.confusion import Matrix, confusion, scores
from stages.parts.sections import read
from stages.parts.segmenter.files import load_segmenter
from stages.parts.segmenter.hrda import HRDA
from stages.parts.segmenter.networks import STRIDE
from stages.parts.segmenter.predict import View, predict
from stages.parts.store import samples
from stages.parts.store.atomic import write_whole
from stages.parts.store.fingerprint import fingerprint

if TYPE_CHECKING:  # at run time stages.segmenter imports it first, and keeps it from warning
    from mmseg.models import BaseSegmentor


@command
def main(argv: Sequence[str] | None = None) -> None:
    recipe, seed = _arguments(argv)
    config = read(Params)
    weights = Path(f"models/segmenters/{recipe}-{seed}.safetensors")
    model, names = load_segmenter(weights)
    model.to(get_device())
    val = samples.Shards("data/scenes/val").verify()
    if not val.rows:
        raise GraftError(f"{val.folder} holds no image; run the stage scenes with scenes.val >= 1")
    _check_detail(model, val, config.evaluate)

    keys = _keys(val, weights, config.evaluate)
    view = _view(config.evaluate)
    folder = Path(f"data/evaluated/{recipe}-{seed}")
    batches = list(_batches(val, config.evaluate.batch))
    samples.build(
        folder,
        keys,
        lambda missing: _predictions(model, view, val, batches, {uid: keys[uid] for uid in missing}),
        title=f"evaluate {recipe}-{seed}",
    )
    matrix, areas = _count(val, samples.Shards(folder), len(names))
    result = {"recipe": recipe, "seed": seed, "classes": names, "novel": config.classes}
    result |= {"confusion": matrix.tolist()} | scores(matrix, names, config.classes, config.evaluate.absent)
    result |= boundary_scores(areas, matrix, names, config.classes, config.evaluate.absent)
    _write(Path(f"metrics/evaluate/{recipe}-{seed}.json"), result)


def _arguments(argv: Sequence[str] | None) -> tuple[str, int]:
    parser = argparse.ArgumentParser(
        prog="python -m stages.evaluate",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("recipe", help="the recipe of a trained segmenter, for example baseline or grafted")
    parser.add_argument("seed", type=int, help="its seed")
    args = parser.parse_args(argv)
    return args.recipe, args.seed


def _check_detail(model: BaseSegmentor, val: samples.Shards, evaluate: Evaluate) -> None:
    """GraftError if an HRDA network would be shown less than the detail that it was trained with."""
    if not isinstance(model, HRDA):
        return
    padding = 2 * STRIDE
    for row in val.rows:
        padded = [-(-side // padding) * padding for side in evaluate.size or (row["height"], row["width"])]
        shown = [min(pair) for pair in zip(padded, evaluate.window or padded, strict=True)]
        if any(side < detail for side, detail in zip(shown, model.detail, strict=True)):
            raise GraftError(
                f"params.yaml: evaluate shows sample {row['uid']} of {val.folder} at {shown[0]} x {shown[1]} pixels, "
                f"less than this segmenter's detail of {model.detail[0]} x {model.detail[1]}; raise evaluate.size"
            )


def _view(evaluate: Evaluate) -> View:
    size, window, stride = (
        (each[0], each[1]) if each else None for each in (evaluate.size, evaluate.window, evaluate.stride)
    )
    return View(size, window, stride, evaluate.flip)


def _keys(val: samples.Shards, weights: Path, evaluate: Evaluate) -> dict[str, str]:
    code = fingerprint("stages.parts.segmenter.predict", "stages.parts.segmenter.files", "stages.parts.store.pictures")
    made_by = {"weights": samples.file_hash(weights), "how": evaluate.model_dump(exclude={"absent"}), "code": code}
    return {row["uid"]: samples.key(image=row["sha256"], **made_by) for row in val.rows}


def _batches(val: samples.Shards, size: int) -> Iterator[list[str]]:
    """All uids, in batches of images of one size."""
    for _, rows in itertools.groupby(val.rows, key=lambda row: (row["height"], row["width"])):
        uids = [row["uid"] for row in rows]
        yield from (uids[k : k + size] for k in range(0, len(uids), size))


def _predictions(
    model: BaseSegmentor, view: View, val: samples.Shards, batches: list[list[str]], missing: Mapping[str, str]
) -> Iterator[samples.Sample]:
    """The missing samples (uid -> key), out of whole batches: one of another size might round differently."""
    for uids in batches:
        if missing.keys() & set(uids):
            images = [samples.png_array(val.read(uid)["image.png"]) for uid in uids]
            for uid, prediction in zip(uids, predict(model, images, view), strict=True):
                if uid in missing:
                    files = {"prediction.png": samples.png_bytes(prediction)}
                    yield samples.Sample(uid, missing[uid], {}, files)


def _count(val: samples.Shards, predicted: samples.Shards, num_classes: int) -> tuple[Matrix, NDArray[np.int64]]:
    """The confusion matrix and the boundary areas of the whole set."""
    matrix, areas = np.zeros((num_classes, num_classes), np.int64), np.zeros((2, num_classes), np.int64)
    for row, files in tqdm(val, total=len(val.rows), desc="count", unit="image", delay=2, leave=False):
        if "label.png" not in files:
            raise GraftError(f"{val.folder}: sample {row['uid']} has no label.png; label it, or take it out")
        truth = samples.png_array(files["label.png"])
        prediction = samples.png_array(predicted.read(row["uid"])["prediction.png"])
        try:
            matrix += confusion(torch.from_numpy(truth), torch.from_numpy(prediction), num_classes).numpy()
        except ValueError as error:
            raise GraftError(f"{val.folder}: sample {row['uid']}: {error}; correct its label.png") from None
        areas += boundary_areas(truth, prediction, num_classes)
    return matrix, areas


def _write(path: Path, result: dict[str, object]) -> None:
    write_whole(path, json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
