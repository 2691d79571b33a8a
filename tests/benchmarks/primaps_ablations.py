"""PriMaPs-EM with one part taken away or changed, controls that must not gain, and the ceiling of each.

command  python -m tests.benchmarks.primaps_ablations [--set streets --split val --seeds 0 1 2 --only NAME ...]
needs    the data of the line
cost     a minute for each row and seed on one core, streets
says     mIoU of k-means and of EM (the teacher at the end, mirrored, no CRF), their difference, and the mIoU of the
         proposals if the truth named them, on val; everything that a row does not name is as in params.yaml
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from stages.parts.datasets.splits import Split
from stages.parts.masks import proposals
from stages.parts.masks.principal import cosines
from stages.parts.measure.matching import identity, overlap, scores
from stages.parts.pretrained.backbones import Untrained, find_backbone
from stages.parts.pretrained.kept_features import KeptFeatures
from stages.parts.sections import read, validated
from stages.parts.store.samples import png_bytes
from stages.primaps import training
from stages.primaps.em import Head
from stages.primaps.params import Params
from stages.primaps.preset import PRESETS
from stages.primaps.propose import label_maps
from stages.primaps.scoring import Data, Linear, cluster_scores, mirrored, open_data, open_features

CELLS, UNTRAINED = "each pixel a proposal of its own", "random weights"
DIRECTION, RANDOM = "seed: the direction itself", "seed: a free cell at random"
ROWS: dict[str, dict[str, Any]] = {
    "params.yaml": {},
    **{f"psi {psi}": {"propose": {"threshold": psi}} for psi in (0.2, 0.3, 0.4, 0.5, 0.6, 0.65, 0.7, 0.8, 0.85, 0.9)},
    "published proposals": {"propose": PRESETS["published"]["propose"] | {"crf": PRESETS["small"]["propose"]["crf"]}},
    "not centred, psi 0.4": {"propose": {"centred": False, "threshold": 0.4}},
    DIRECTION: {},
    RANDOM: {},
    "no CRF": {"propose": {"crf": {"iterations": 0}}},
    "four PCA iterations": {"propose": {"pca": 4}},
    "no least area": {"propose": {"least": 0}},
    "one pass of the backbone": {"shifts": 1},
    "two student views": {"fit": {"jitter_probability": 1.0, "views": 2}},
    "four student views": {"fit": {"jitter_probability": 1.0, "views": 4}},
    "mirrored views": {"fit": {"flip": 0.5, "views": 4}},
    "momentum teacher": {"fit": {"decay": 0.98}},
    "focal weight": {"fit": {"gamma": 2.0}},
    "momentum teacher, focal weight": {"fit": {"decay": 0.98, "gamma": 2.0}},
    "momentum teacher, focal weight, two student views": {
        "fit": {"decay": 0.98, "gamma": 2.0, "jitter_probability": 1.0, "views": 2}
    },
    "EM half as long": {"fit": {"epochs": 10}},
    "k-means three times as long": {"initialise": {"epochs": 60}},
    "control: " + CELLS: {},
    "control: raw colours": {"backbone": "stages.parts.pretrained.backbones:Colours"},
    "control: " + UNTRAINED: {},
}  # fmt: skip


class Named:
    """Proposals in memory, read as Shards are."""

    def __init__(self, labels: Mapping[str, np.ndarray]) -> None:
        self.files = {uid: {"proposals.png": png_bytes(label)} for uid, label in labels.items()}

    def read(self, uid: str) -> dict[str, bytes]:
        return self.files[uid]


class RandomSeeds(proposals.Spread):
    """In the place of the principal direction that of a free cell, each as likely: it is the seed."""

    def __init__(self, cells: Tensor, free: Tensor) -> None:
        super().__init__(cells, free)
        self.cells, self.free = cells, free
        self.rng = torch.Generator().manual_seed(0)

    def remove(self, cells: Tensor, region: Tensor) -> None:
        super().remove(cells, region)
        self.free = self.free & ~region

    def keep(self, going: Tensor) -> None:
        super().keep(going)
        self.cells, self.free = self.cells[going], self.free[going]

    def principal(self, pca: proposals.Pca) -> Tensor:
        picks = torch.multinomial(self.free.float(), 1, generator=self.rng)
        return self.cells.gather(2, picks[:, None].expand(-1, self.cells.shape[1], 1))[..., 0]


class FromDirection:
    """Cosines with the direction in the place of those with the seed: every other call is for a seed."""

    along: Tensor | None = None

    def __call__(self, unit: Tensor, vector: Tensor) -> Tensor:
        if self.along is None:
            self.along, self.vector = cosines(unit, vector), vector
            return self.along
        same = torch.where((self.vector * vector).sum(1, keepdim=True) < 0, -1.0, 1.0)
        along, self.along = self.along * same, None
        return along


@contextmanager
def seeds_by(name: str) -> Iterator[None]:
    """Within, proposals start as the row says."""
    before = proposals.Spread, proposals.cosines
    if name == RANDOM:
        proposals.Spread = RandomSeeds  # type: ignore[misc]
    if name == DIRECTION:
        proposals.cosines = FromDirection()  # type: ignore[assignment]
    try:
        yield
    finally:
        proposals.Spread, proposals.cosines = before  # type: ignore[misc]


def changed(params: Params, row: Mapping[str, Any]) -> Params:
    """The params with what the row names."""
    values = params.model_dump()
    overlay(values["primaps"], row)
    return validated(values, Params, "the row")


def overlay(values: dict[str, Any], row: Mapping[str, Any]) -> None:
    for key, value in row.items():
        if isinstance(value, Mapping):
            overlay(values[key], value)
        else:
            values[key] = value


def proposals_of(params: Params, features: KeptFeatures, split: Split, name: str) -> dict[str, np.ndarray]:
    found = dict[str, np.ndarray]()
    for uids in tqdm(split.blocks(params.primaps.propose.batch), desc=f"propose {name}", leave=False):
        labels = label_maps(params.primaps.propose, features, [split.read(uid)[0] for uid in uids])
        found |= {f"{name}-{uid}": label for uid, label in zip(uids, labels, strict=True)}
    return found


def ceiling(labels: Mapping[str, np.ndarray], data: Data, split: Split, name: str) -> float:
    """mIoU of the proposals, each called by the class that most of it is; what is in none is wrong."""
    counts = np.zeros((data.classes + 1, data.classes), dtype=np.int64)
    for uid in split.hashes:
        regions = overlap(labels[f"{name}-{uid}"], split.labelled([uid])[1][0], 256, data.classes)
        best = regions.argmax(axis=1)
        best[255] = data.classes
        np.add.at(counts, best, regions)
    iou = scores(counts, np.append(identity(data.classes), -1))[0]
    return float(np.mean(iou[counts.sum(axis=0) > 0]))


def miou(features: KeptFeatures, data: Data, split: Split, weight: Tensor, mean: Tensor) -> tuple[float, float]:
    look, head = mirrored(features), Linear(weight, mean)
    counts = np.zeros((len(weight), data.classes), dtype=np.int64)
    for uid in split.hashes:
        (image,), (label,) = split.labelled([uid])
        counts += overlap(
            head(look(split, uid, image), label.shape)[0].argmax(0).numpy(), label, len(weight), data.classes
        )
    return cluster_scores(counts, data.where)[1:]


def measured(name: str, params: Params, arguments: argparse.Namespace) -> dict[str, Any]:
    """ceiling; and k-means, EM and their difference: (mIoU, Acc) of each seed."""
    primaps, data = params.primaps, open_data(params.primaps, arguments.set)
    features = open_features(primaps)
    if UNTRAINED in name:
        folder = find_backbone(primaps.backbone, primaps.revision)
        assert folder is not None
        features.backbone = Untrained(folder, primaps.shifts)
    learn, split = data.split("learn"), data.split(arguments.split)
    with seeds_by(name):
        seen = proposals_of(params, features, split, arguments.split)
        shards = Named(proposals_of(params, features, learn, "learn"))
    result: dict[str, Any] = {"ceiling": round(ceiling(seen, data, split, arguments.split), 2)}
    result["regions"] = round(float(np.mean([len(np.unique(label)) for label in seen.values()])), 1)
    named = training.assigned
    if CELLS in name:
        training.assigned = lambda prediction, ids, clusters: prediction
    for seed in arguments.seeds:
        start = training.kmeans(primaps.initialise, features, learn, data.given.clusters, seed)
        with TemporaryDirectory() as work:
            run = training.ExpectationMaximisation(primaps.fit, start, seed, Path(work) / "work.pt")
            fitted = run.fit(features, learn, shards, data, data.split("val"))  # type: ignore[arg-type]
        before = miou(features, data, split, Head(start["v"], start["g"]).weight().detach(), start["mean"])
        teacher = Head(fitted["teacher.v"], fitted["teacher.g"]).weight().detach()
        after = miou(features, data, split, teacher, start["mean"])
        result.setdefault("k-means", []).append([round(x, 2) for x in before])
        result.setdefault("EM", []).append([round(x, 2) for x in after])
        result.setdefault("gain", []).append(round(after[0] - before[0], 2))
        result.setdefault("val by step", []).append([row[2] for row in run.rows])
    training.assigned = named
    return result


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--set", default="streets")
    parser.add_argument("--split", default="val", choices=["val", "test"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--only", nargs="+", default=list(ROWS), choices=list(ROWS), metavar="NAME")
    parser.add_argument("--out", type=Path, default=Path("metrics/compare/primaps.json"))
    parser.add_argument("--params", type=Path, default=Path("params.yaml"))
    arguments, threads = parser.parse_args(argv), torch.get_num_threads()
    params = read(Params, arguments.params)
    for name in arguments.only:
        found = json.loads(arguments.out.read_text()) if arguments.out.is_file() else {}
        one = measured(name, changed(params, ROWS[name]), arguments)
        found.setdefault(f"{arguments.set} {arguments.split}", {})[name] = one
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        arguments.out.write_text(json.dumps(found, indent=1) + "\n")
        print(
            name, {key: value for key, value in one.items() if key != "val by step"}, f"({threads} threads)", flush=True
        )


if __name__ == "__main__":
    main()
