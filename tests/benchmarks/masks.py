"""Which method makes the best masks, on held-out pages whose true mask is known.

command  python -m tests.benchmarks.masks [--first 500 --last 1000 --only sam]
needs    the held-out pages: python -m stages.miniature.book (40 s)
cost     4 min on one CPU core
says     mean IoU, boundary F at 1 px, share of empty masks, CPU seconds per image, for every method of params
         `refine`; everything that the row does not name is as in params.yaml

Pages 0 .. 299 are the exam; what was tuned was tuned on pages 500 .. 999.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from stages.generate.sampler import load
from stages.miniature.book import Book
from stages.parts.masks.dense_crf import dense_crf
from stages.parts.masks.points import hard_seed
from stages.parts.sections import read
from stages.preflight import Params
from stages.refine.methods import Drawn, open_method
from tests.benchmarks.pages import Seen, picks, seen

Mask = NDArray[np.bool_]

SNAP, NO_SNAP = {"iterations": 5}, {"iterations": 0}
ROWS: dict[str, dict[str, Any]] = {
    "attention": {"method": "attention"},
    "self_attention": {"method": "self_attention"},
    "primaps": {"method": "primaps"},
    "sam cross, as published": {"prompt": "cross", "choose": "predicted_iou", "views": 1, "snap": NO_SNAP},
    "sam cross, agreement": {"prompt": "cross", "choose": "agreement", "views": 1, "snap": NO_SNAP},
    "sam inside": {"prompt": "inside", "views": 1, "snap": NO_SNAP},
    "sam box": {"prompt": "box", "views": 1, "snap": NO_SNAP},
    "sam box+points": {"prompt": "box+points", "views": 1, "snap": NO_SNAP},
    "sam cross + 4 negatives": {"prompt": "cross", "negatives": 4, "views": 1, "snap": NO_SNAP},
    "sam cross, snap": {"prompt": "cross", "views": 1, "snap": SNAP},
    "sam cross, 4 views, snap": {"prompt": "cross", "views": 4, "snap": SNAP},
    "sam cross, 8 views": {"prompt": "cross", "views": 8, "snap": NO_SNAP},
    "sam cross, 8 views, snap": {"prompt": "cross", "views": 8, "snap": SNAP},
    "sam cross, 16 views, snap": {"prompt": "cross", "views": 16, "snap": SNAP},
    "sam inside, 8 views, snap": {"prompt": "inside", "views": 8, "snap": SNAP},
    "sam box, 8 views, snap": {"prompt": "box", "views": 8, "snap": SNAP},
    "params.yaml": {},
}


def main(argv: Sequence[str] | None = None) -> None:
    arguments = parser().parse_args(argv)
    torch.set_num_threads(1)
    params, book = read(Params), Book("heldout")
    pages = picks(book, params.classes, arguments.first, arguments.last)
    inputs = seen(load(Path(params.generate.model), params.generate.dtype), book, pages, params.generate.steps)
    settings = params.refine.model_dump()
    seeds = [dense_crf(s.image, hard_seed(s.attribution, settings["threshold"]), **settings["crf"]) for s in inputs]
    print(f"pages {arguments.first} .. {arguments.last - 1}: {len(inputs)} of {', '.join(params.classes)}")
    print(f"{'method':28} {'IoU':>6} {'std':>6} {'bnd F':>6} {'empty':>6} {'s/img':>6}  IoU by class")
    for title, changes in ROWS.items():
        if arguments.only in title:
            print(row(title, changed(settings, changes), inputs, seeds), flush=True)


def changed(settings: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """The settings with the changes; those of a section within are merged into it."""
    return {
        name: value | changes[name] if isinstance(value, dict) and name in changes else changes.get(name, value)
        for name, value in settings.items()
    }


def row(title: str, settings: Mapping[str, Any], inputs: Sequence[Seen], seeds: Sequence[Mask]) -> str:
    """One line of the table. The time is the method's alone: the seeds are there already."""
    models = {"model": Path(settings["model"]), "primaps.encoder": Path(settings["primaps"]["encoder"])}
    method = open_method(settings, models, "cpu")
    began, masks = time.process_time(), []
    for s, seed in tqdm(list(zip(inputs, seeds, strict=True)), desc=title, unit="page", leave=False):
        drawn = Drawn(s.image, s.attribution, seed, s.self_attention, s.cross_attention)
        masks.append(method({0: drawn})[0].mask if seed.any() else seed)
    seconds = (time.process_time() - began) / len(inputs)
    ious = np.array([iou(mask, s.truth) for mask, s in zip(masks, inputs, strict=True)])
    edges = np.mean([boundary_f(mask, s.truth) for mask, s in zip(masks, inputs, strict=True)])
    empty = np.mean([not mask.any() for mask in masks])
    kinds = {kind: ious[[s.kind == kind for s in inputs]].mean() for kind in sorted({s.kind for s in inputs})}
    by_class = ", ".join(f"{kind} {value:.3f}" for kind, value in kinds.items())
    return f"{title:28} {ious.mean():6.4f} {ious.std():6.3f} {edges:6.3f} {empty:6.3f} {seconds:6.3f}  {by_class}"


def iou(a: Mask, b: Mask) -> float:
    """Intersection over union of two (H, W) masks; 0 when both are empty."""
    union = np.count_nonzero(a | b)
    return float(np.count_nonzero(a & b) / union) if union else 0.0


def boundary_f(found: Mask, truth: Mask, tolerance: int = 1) -> float:
    """F measure of the boundary pixels, each right if one of the other mask's is within `tolerance` pixels."""
    a, b = boundary(found), boundary(truth)
    if not (a.any() and b.any()):
        return 0.0
    square = np.ones((2 * tolerance + 1,) * 2, np.uint8)
    precision = np.mean(cv2.dilate(b.astype(np.uint8), square)[a])
    recall = np.mean(cv2.dilate(a.astype(np.uint8), square)[b])
    return float(2 * precision * recall / (precision + recall)) if precision + recall else 0.0


def boundary(mask: Mask) -> Mask:
    """The pixels of a mask with a 4-neighbour outside of it."""
    cross = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
    return mask & (cv2.erode(mask.astype(np.uint8), cross) == 0)


def parser() -> argparse.ArgumentParser:
    result = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    result.add_argument("--first", type=int, default=0, help="first page (default: %(default)s)")
    result.add_argument("--last", type=int, default=300, help="one past the last page (default: %(default)s)")
    result.add_argument("--only", default="", metavar="WORD", help="only methods whose name holds this word")
    return result


if __name__ == "__main__":
    main()
