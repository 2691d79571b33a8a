"""One segmenter on one labelled split: its predictions as samples, and what is right of them."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmseg.models import BaseSegmentor
from numpy.typing import NDArray
from tqdm import tqdm

from stages.evaluate.params import Evaluate
from stages.parts.errors import GraftError
from stages.parts.measure.boundary import boundary_areas, boundary_scores
from stages.parts.measure.confusion import Matrix, confusion, scores
from stages.parts.segmenter.hrda import HRDA
from stages.parts.segmenter.networks import STRIDE
from stages.parts.segmenter.predict import View, predict
from stages.parts.store.fingerprint import fingerprint
from stages.parts.store.samples import Sample, Shards, build, file_hash, key, png_array, png_bytes


def evaluated(
    model: BaseSegmentor,
    weights: Path,
    classes: Sequence[str],
    novel: Sequence[str],
    scenes: Shards,
    folder: Path,
    evaluate: Evaluate,
    threads: int,
) -> dict[str, Any]:
    """Predict every image of `scenes` into `folder` (prediction.png, uint8 train ids), and measure all of them.

    model: of the file `weights`, on its device; classes: its outputs' names, in their order; novel: those of which the
    means tell apart. Gives the confusion matrix, and what confusion.scores and boundary_scores say. GraftError for a
    split without images, an image without label, and a label with an id that is no class."""
    if not scenes.rows:
        split = scenes.folder.name
        raise GraftError(f"{scenes.folder} holds no image; run the stage scenes with scenes.{split} >= 1")
    _check_detail(model, scenes, evaluate)
    keys, view = _keys(scenes, weights, evaluate, threads), _view(evaluate)
    batches = list(_batches(scenes, evaluate.batch))
    build(
        folder,
        keys,
        lambda missing: _predictions(model, view, scenes, batches, {uid: keys[uid] for uid in missing}),
        title=f"evaluate {folder.parent.name} on {folder.name}",
    )
    matrix, areas = _count(scenes, Shards(folder), len(classes))
    return (
        {"confusion": matrix.tolist()}
        | scores(matrix, classes, novel, evaluate.absent)
        | boundary_scores(areas, matrix, classes, novel, evaluate.absent)
    )


def _check_detail(model: BaseSegmentor, scenes: Shards, evaluate: Evaluate) -> None:
    """GraftError if an HRDA network would be shown less than the detail that it was trained with."""
    if not isinstance(model, HRDA):
        return
    padding = 2 * STRIDE
    for row in scenes.rows:
        padded = [-(-side // padding) * padding for side in evaluate.size or (row["height"], row["width"])]
        shown = [min(pair) for pair in zip(padded, evaluate.window or padded, strict=True)]
        if any(side < detail for side, detail in zip(shown, model.detail, strict=True)):
            raise GraftError(
                f"params.yaml: evaluate shows sample {row['uid']} of {scenes.folder} at {shown[0]} x {shown[1]} "
                f"pixels, less than this segmenter's detail of {model.detail[0]} x {model.detail[1]}; "
                f"raise evaluate.size"
            )


def _view(evaluate: Evaluate) -> View:
    size, window, stride = (
        (each[0], each[1]) if each else None for each in (evaluate.size, evaluate.window, evaluate.stride)
    )
    return View(size, window, stride, evaluate.flip)


def _keys(scenes: Shards, weights: Path, evaluate: Evaluate, threads: int) -> dict[str, str]:
    code = fingerprint("stages.parts.segmenter.predict", "stages.parts.segmenter.files", "stages.parts.store.pictures")
    how = evaluate.model_dump(exclude={"absent"}) | {"threads": threads}
    made_by = {"weights": file_hash(weights), "how": how, "code": code}
    return {row["uid"]: key(image=row["sha256"], **made_by) for row in scenes.rows}


def _batches(scenes: Shards, size: int) -> Iterator[list[str]]:
    """All uids, in batches of images of one size."""
    for _, rows in itertools.groupby(scenes.rows, key=lambda row: (row["height"], row["width"])):
        uids = [row["uid"] for row in rows]
        yield from (uids[k : k + size] for k in range(0, len(uids), size))


def _predictions(
    model: BaseSegmentor, view: View, scenes: Shards, batches: list[list[str]], missing: Mapping[str, str]
) -> Iterator[Sample]:
    """The missing samples (uid -> key), out of whole batches: one of another size might round differently."""
    for uids in batches:
        if missing.keys() & set(uids):
            images = [png_array(scenes.read(uid)["image.png"]) for uid in uids]
            for uid, prediction in zip(uids, predict(model, images, view), strict=True):
                if uid in missing:
                    files = {"prediction.png": png_bytes(prediction)}
                    yield Sample(uid, missing[uid], {}, files)


def _count(scenes: Shards, predicted: Shards, num_classes: int) -> tuple[Matrix, NDArray[np.int64]]:
    """The confusion matrix and the boundary areas of the whole set."""
    matrix, areas = np.zeros((num_classes, num_classes), np.int64), np.zeros((2, num_classes), np.int64)
    for row, files in tqdm(scenes, total=len(scenes.rows), desc="count", unit="image", delay=2, leave=False):
        if "label.png" not in files:
            raise GraftError(f"{scenes.folder}: sample {row['uid']} has no label.png; label it, or take it out")
        truth = png_array(files["label.png"])
        prediction = png_array(predicted.read(row["uid"])["prediction.png"])
        try:
            matrix += confusion(torch.from_numpy(truth), torch.from_numpy(prediction), num_classes).numpy()
        except ValueError as error:
            raise GraftError(f"{scenes.folder}: sample {row['uid']}: {error}; correct its label.png") from None
        areas += boundary_areas(truth, prediction, num_classes)
    return matrix, areas
