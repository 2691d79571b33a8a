"""propose: the principal mask proposals of every picture of a dataset, as label maps.

in       the three splits of a dataset (params primaps.datasets), the backbone, params primaps.propose
out      data/primaps/proposals/SET: shards of proposals.png, (H, W) uint8, ids 1.. in the order of discovery and 255 =
         none; a sample is SPLIT-UID
command  python -m stages.primaps.propose SET
cost     streets: about 0.1 s a picture on one core, half of it the CRF
expect   streets: some 30 regions a picture; named by the truth they have the mIoU that summary calls `ceiling`
source   Hahn et al., TMLR 2024, section 3.1; sign rule, free cells alone, cap, least area and surer unaries are ours

Class-agnostic, and no label is read. It runs over the engine, and resumes by key. The pictures that go through the
backbone together are part of a picture's key, for a network's sums round by its batch.
"""

from __future__ import annotations

import argparse
import functools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from stages.parts.command import command
from stages.parts.sections import read
from stages.parts.store.fingerprint import fingerprint
from stages.parts.store.samples import Sample, build, file_hash, key, png_bytes
from stages.primaps.params import Params, Primaps, Propose

if TYPE_CHECKING:
    from stages.parts.datasets.splits import Picture
    from stages.parts.pretrained.kept_features import KeptFeatures

FOLDER = Path("data/primaps/proposals")
SPLITS = ("learn", "val", "test")
Job = tuple[str, list[str]]  # a split, and the uids of one block of it
Made = list[tuple[str, "Picture"]]  # sample and label map of each picture of a block


@command
def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m stages.primaps.propose",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("set", metavar="SET", help="a dataset of params.yaml primaps.sets, such as streets")
    name, params = parser.parse_args(argv).set, read(Params)
    wanted, jobs = planned(params, name)

    def make(uids: list[str]) -> Iterator[Sample]:
        from stages.parts.engine.spread import spread  # here, for a run that keeps everything needs no worker

        missing = set(uids)
        todo = [(split, block) for split, block in jobs if missing & {f"{split}-{uid}" for uid in block}]
        for made in spread(functools.partial(open_worker, params.primaps, name), todo, params.engine):
            for sample, label in made:
                if sample in missing:
                    row = {"proposals": len(np.unique(label[label < 255]))}
                    yield Sample(sample, wanted[sample], row, {"proposals.png": png_bytes(label)})

    build(FOLDER / name, wanted, make, title=f"propose {name}")


def planned(params: Params, name: str) -> tuple[dict[str, str], list[Job]]:
    """Sample -> key, and the blocks that are made together. GraftError for what is missing, before any work."""
    from stages.parts.pretrained.backbones import find_backbone
    from stages.primaps.scoring import open_data

    primaps, data = params.primaps, open_data(params.primaps, name)
    folder = find_backbone(primaps.backbone, primaps.revision)
    made_by = key(
        params=primaps.propose.model_dump(), size=primaps.size.model_dump(), shifts=primaps.shifts,
        backbone=file_hash(folder) if folder else primaps.backbone, code=fingerprint("stages.primaps.propose"),
        threads=params.engine.threads,
    )  # fmt: skip
    wanted: dict[str, str] = {}
    jobs: list[Job] = []
    for split in SPLITS:
        found = data.split(split)
        for block in found.blocks(primaps.propose.batch):
            together = key(hashes=[found.hashes[uid] for uid in block])
            wanted |= {f"{split}-{uid}": key(uid=uid, together=together, made_by=made_by) for uid in block}
            jobs.append((split, block))
    return wanted, jobs


def open_worker(primaps: Primaps, name: str, device: str) -> Callable[[Job], Made]:
    """What makes the label maps of one block."""
    from stages.primaps.scoring import open_data, open_features

    data, features = open_data(primaps, name), open_features(primaps, device)
    splits = {split: data.split(split) for split in SPLITS}

    def work(job: Job) -> Made:
        split, uids = job
        labels = label_maps(primaps.propose, features, [splits[split].read(uid)[0] for uid in uids])
        return [(f"{split}-{uid}", label) for uid, label in zip(uids, labels, strict=True)]

    return work


def label_maps(settings: Propose, features: KeptFeatures, images: Sequence[Picture]) -> list[Picture]:
    """Pictures of one size, (H, W, 3) uint8 RGB -> their proposals, (H, W) uint8, 255 = none."""
    from stages.parts.masks.proposal_labels import proposal_labels
    from stages.parts.masks.proposals import propose
    from stages.parts.pretrained.kept_features import pixels

    s = settings
    found = propose(
        features(pixels(images)), threshold=s.threshold, pca=s.pca, centred=s.centred, coverage=s.coverage, most=s.most
    )
    crf = s.crf.kernels()
    return [
        proposal_labels(image, one.maps, median=s.median, least=s.least, confidence=s.confidence, crf=crf)
        for image, one in zip(images, found, strict=True)
    ]


if __name__ == "__main__":
    main()
