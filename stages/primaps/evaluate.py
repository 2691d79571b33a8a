"""evaluate: how well the clusters match the classes, on val and on test.

in       the labelled splits of a dataset, data/primaps/proposals/SET, models/primaps/SET/SEED-start.safetensors and
         SEED.safetensors of every seed, the backbone, params primaps.evaluate
out      metrics/primaps/sets/SET.json: split -> seed -> row -> mIoU, Acc, IoU of each class, in percent
command  python -m stages.primaps.evaluate SET
cost     streets: four minutes on one core for three seeds, half of it features
expect   em 8 to 9 mIoU above baseline on val of streets
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
from stages.parts.errors import GraftError
from stages.parts.sections import read
from stages.parts.store.atomic import write_whole
from stages.parts.store.samples import Shards, png_array
from stages.primaps.params import Evaluate, Params

if TYPE_CHECKING:
    from stages.parts.datasets.splits import Split
    from stages.parts.measure.matching import Counts
    from stages.primaps.scoring import Data, Linear, Look

MODELS, PROPOSALS, METRICS = Path("models/primaps"), Path("data/primaps/proposals"), Path("metrics/primaps/sets")
SNAPPED = {"baseline": "baseline_crf", "em": "em_crf"}
PROBE, CEILING = "probe", "ceiling"  # clusters that are classes by themselves
Row = tuple[int, str]  # seed, name


@command
def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m stages.primaps.evaluate",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("set", metavar="SET", help="a dataset of params.yaml primaps.sets, such as streets")
    name, primaps = parser.parse_args(argv).set, read(Params).primaps

    from stages.primaps.scoring import mirrored, open_data, open_features, plainly  # here: --help needs no network

    data, settings = open_data(primaps, name), primaps.evaluate
    val, test = data.split("val"), data.split("test")
    heads = {(seed, row): head for seed in primaps.seeds for row, head in trained_heads(name, seed).items()}
    features = open_features(primaps)
    look = mirrored(features) if settings.flip else plainly(features)
    for seed in primaps.seeds:
        heads[seed, PROBE] = probed(settings, data, val, look, heads[seed, "em"], seed)
    proposals = Shards(PROPOSALS / name)
    found = {
        title: scored(counted(settings, data, split, title, heads, look, proposals), data)
        for title, split in (("val", val), ("test", test))
    }
    write_whole(METRICS / f"{name}.json", json.dumps(found, indent=1) + "\n")


def trained_heads(name: str, seed: int) -> dict[str, Linear]:
    """The heads of both trainings, by row. GraftError for a training that is missing."""
    from safetensors.torch import load_file

    from stages.primaps.em import Head
    from stages.primaps.scoring import Linear

    paths = [MODELS / name / f"{seed}{end}.safetensors" for end in ("-start", "")]
    for path in paths:
        if not path.is_file():
            raise GraftError(f"{path} is missing; run `python -m stages.primaps.fit {name} {seed}` or `dvc repro`")
    start, fitted = (load_file(path) for path in paths)

    def head(weights: dict[str, Any], part: str = "") -> Linear:
        return Linear(Head(weights[f"{part}v"], weights[f"{part}g"]).weight().detach(), weights["mean"])

    rows = {"em": "teacher.", "em_student": "student.", "em_best": "best."}
    return {"baseline": head(start)} | {row: head(fitted, part) for row, part in rows.items()}


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
        features = torch.cat([look(val, uid, image) for uid, image in zip(uids, images, strict=True)])
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
    settings: Evaluate, data: Data, split: Split, title: str, heads: dict[Row, Linear], look: Look, proposals: Shards
) -> dict[Row, Counts]:
    """S of every row of every seed over a split: (clusters, classes) pixels; of the ceiling the last cluster is no
    class. Features are computed once for all."""
    import numpy as np

    from stages.parts.datasets.labels import IGNORE
    from stages.parts.measure.matching import overlap
    from stages.primaps.scoring import logits_of, snapped

    size = {row: len(head.weight) for row, head in heads.items()}
    size |= {(seed, SNAPPED[row]): clusters for (seed, row), clusters in size.items() if row in SNAPPED}
    size |= {(seed, CEILING): data.classes + 1 for seed, _ in heads}
    counts = {row: np.zeros((clusters, data.classes), dtype=np.int64) for row, clusters in size.items()}
    for uid, image, label, logits in logits_of(split, heads, look, f"evaluate {title}"):
        for (seed, row), logit in logits.items():
            counts[seed, row] += overlap(logit.argmax(0).numpy(), label, size[seed, row], data.classes)
            if row in SNAPPED:
                crf, snap = snapped(image, logit, settings.crf.kernels()), (seed, SNAPPED[row])
                counts[snap] += overlap(crf, label, size[snap], data.classes)
        regions = overlap(png_array(proposals.read(f"{title}-{uid}")["proposals.png"]), label, IGNORE + 1, data.classes)
        best = regions.argmax(axis=1)
        best[IGNORE] = data.classes
        for seed in {seed for seed, _ in heads}:
            np.add.at(counts[seed, CEILING], best, regions)
    return counts


def scored(counts: dict[Row, Counts], data: Data) -> dict[str, dict[str, Any]]:
    """seed -> row -> mIoU, Acc and IoU of each class that occurs, in percent; clusters matched, or, of the probe and
    the ceiling, named already."""
    import numpy as np

    from stages.parts.datasets.label_spaces import label_space
    from stages.parts.measure.matching import identity, scores
    from stages.primaps.scoring import matched

    names, found = label_space(data.given.labels).names, dict[str, dict[str, Any]]()
    own = {PROBE: identity(data.classes), CEILING: np.append(identity(data.classes), -1)}
    for (seed, row), count in counts.items():
        iou, _, accuracy = scores(count, own[row] if row in own else matched(count, data.where))
        occurring = np.flatnonzero(count.sum(axis=0))
        found.setdefault(str(seed), {})[row] = {
            "mIoU": round(float(iou[occurring].mean()), 3),
            "Acc": round(accuracy, 3),
            "IoU": {names[k]: round(float(iou[k]), 2) for k in occurring},
        }
    return found


if __name__ == "__main__":
    main()
