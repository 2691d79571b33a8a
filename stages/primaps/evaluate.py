"""evaluate: how well the clusters match the classes, on val and on test.

in       the labelled splits of a dataset, data/primaps/proposals/SET, models/primaps/SET-SEED-start.safetensors and
         SET-SEED.safetensors, the backbone, params primaps.evaluate
out      metrics/primaps/seeds/SET-SEED.json: split -> row -> mIoU, Acc, IoU of each class, in percent
command  python -m stages.primaps.evaluate SET SEED
cost     streets: two minutes on one core, most of it the CRF
expect   em at least 3 mIoU above baseline on streets
source   Hahn et al., TMLR 2024, section 4: mean of picture and mirror image, Hungarian matching over the whole split

Rows: baseline (k-means), em (the teacher at the end), em_student, em_best (the teacher that was best on val), each of
the first two with the CRF too; probe: a linear head that learned from the labels of val; ceiling: the proposals, each
called by the class that most of it is, 255 counted as wrong. A split's matching uses all of its labels, as published.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stages.parts.command import command
from stages.parts.sections import read
from stages.parts.store.atomic import write_whole
from stages.parts.store.samples import Shards, png_array
from stages.primaps.params import Evaluate, Params

if TYPE_CHECKING:
    from stages.parts.datasets.splits import Split
    from stages.parts.measure.matching import Counts
    from stages.primaps.scoring import Data, Heads, Linear, Look

MODELS, PROPOSALS, METRICS = Path("models/primaps"), Path("data/primaps/proposals"), Path("metrics/primaps/seeds")
SNAPPED = {"baseline": "baseline_crf", "em": "em_crf"}
PROBE = "probe"  # its clusters are the classes themselves


@command
def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m stages.primaps.evaluate",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("set", metavar="SET", help="a dataset of params.yaml primaps.sets, such as streets")
    parser.add_argument("seed", type=int, metavar="SEED", help="of the training")
    arguments, primaps = parser.parse_args(argv), read(Params).primaps

    from stages.primaps.scoring import mirrored, open_data, open_features, plainly  # here: --help needs no network

    cell, data = f"{arguments.set}-{arguments.seed}", open_data(primaps, arguments.set)
    val, test = data.split("val"), data.split("test")
    heads, features = trained_heads(cell), open_features(primaps)
    look = mirrored(features) if primaps.evaluate.flip else plainly(features)
    heads[PROBE] = probed(primaps.evaluate, data, val, look, heads["em"], arguments.seed)
    proposals = Shards(PROPOSALS / arguments.set)
    found = {
        name: scored(counted(primaps.evaluate, data, split, name, heads, look, proposals), data)
        for name, split in (("val", val), ("test", test))
    }
    write_whole(METRICS / f"{cell}.json", json.dumps(found, indent=1) + "\n")


def trained_heads(cell: str) -> Heads:
    """The heads of both trainings, by row."""
    from safetensors.torch import load_file

    from stages.primaps.em import Head
    from stages.primaps.scoring import Linear

    start, fitted = (load_file(MODELS / f"{cell}{end}.safetensors") for end in ("-start", ""))

    def head(weights: dict[str, Any], name: str = "") -> Linear:
        return Linear(Head(weights[f"{name}v"], weights[f"{name}g"]).weight().detach(), weights["mean"])

    rows = {"em": "teacher.", "em_student": "student.", "em_best": "best."}
    return {"baseline": head(start)} | {row: head(fitted, name) for row, name in rows.items()}


def probed(settings: Evaluate, data: Data, val: Split, look: Look, like: Linear, seed: int) -> Linear:
    """A linear head with a bias, by cross-entropy on the labels of val: what the features know, linearly. A picture
    with no labelled pixel teaches nothing."""
    import torch
    from torch.nn import functional as F
    from tqdm import tqdm

    from stages.parts.datasets.labels import IGNORE
    from stages.parts.datasets.splits import shuffled
    from stages.parts.store.streams import draw_stream
    from stages.primaps.em import said
    from stages.primaps.scoring import Linear

    weight = torch.zeros(data.classes, like.weight.shape[1], requires_grad=True)
    bias = torch.zeros(data.classes, requires_grad=True)
    optimiser = torch.optim.Adam([weight, bias], lr=settings.probe_lr)
    steps = [
        step
        for epoch in range(settings.probe_epochs)
        for step in shuffled(list(val.hashes), draw_stream(seed, epoch, "probe"), settings.probe_batch)
    ]
    for uids in tqdm(steps, desc="probe", unit="step", delay=2):
        images, labels = val.labelled(uids)
        features = torch.cat([look(uid, image) for uid, image in zip(uids, images, strict=True)])
        target = torch.from_numpy(labels).long()
        logits = said(weight, bias, features - like.mean[:, None, None], (target.shape[1], target.shape[2]))
        loss = F.cross_entropy(logits, target, ignore_index=IGNORE, reduction="sum") / max(
            int((target != IGNORE).sum()), 1
        )
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return Linear(weight.detach(), like.mean, bias.detach())


def counted(
    settings: Evaluate, data: Data, split: Split, name: str, heads: Heads, look: Look, proposals: Shards
) -> dict[str, Counts]:
    """S of every row over a split: (clusters, classes) pixels; of the ceiling the last cluster is no class."""
    import numpy as np

    from stages.parts.datasets.labels import IGNORE
    from stages.parts.measure.matching import overlap
    from stages.primaps.scoring import logits_of, snapped

    rows = {row: len(head.weight) for row, head in heads.items()}
    rows |= {crf: rows[row] for row, crf in SNAPPED.items()} | {"ceiling": data.classes + 1}
    counts = {row: np.zeros((clusters, data.classes), dtype=np.int64) for row, clusters in rows.items()}
    for uid, image, label, logits in logits_of(split, heads, look, f"evaluate {name}"):
        for row, logit in logits.items():
            counts[row] += overlap(logit.argmax(0).numpy(), label, rows[row], data.classes)
            if row in SNAPPED:
                crf = snapped(image, logit, settings.crf.model_dump())
                counts[SNAPPED[row]] += overlap(crf, label, rows[row], data.classes)
        regions = overlap(png_array(proposals.read(f"{name}-{uid}")["proposals.png"]), label, IGNORE + 1, data.classes)
        best = regions.argmax(axis=1)
        best[IGNORE] = data.classes
        np.add.at(counts["ceiling"], best, regions)
    return counts


def scored(counts: dict[str, Counts], data: Data) -> dict[str, Any]:
    """mIoU, Acc and IoU of each class that occurs, in percent, by row; clusters matched, or, of the probe and the
    ceiling, named already."""
    import numpy as np

    from stages.parts.datasets.label_spaces import label_space
    from stages.parts.measure.matching import identity, scores
    from stages.primaps.scoring import cluster_scores

    names = label_space(data.given.labels).names
    result: dict[str, Any] = {}
    for row, count in counts.items():
        occurring = np.flatnonzero(count.sum(axis=0))
        if row in (PROBE, "ceiling"):
            named = identity(data.classes) if row == PROBE else np.append(identity(data.classes), -1)
            iou, _, accuracy = scores(count, named)
            mean = float(np.mean(iou[occurring])) if len(occurring) else float("nan")
        else:
            iou, mean, accuracy = cluster_scores(count, data.where)
        of_class = {names[k]: round(float(iou[k]), 2) for k in occurring}
        result[row] = {"mIoU": round(mean, 3), "Acc": round(accuracy, 3), "IoU": of_class}
    return result


if __name__ == "__main__":
    main()
