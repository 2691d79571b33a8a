"""eums: entropy-based uncertainty modelling and self-training [2.6].

in       data/photos/train, data/ncdss/{regions,clusters.csv,clusters.json}, data/ncdss/ranked/ROW-SEED.csv,
         models/ncdss/basic/ROW-SEED.safetensors, data/cutouts/grafted/ (both),
         params ncdss.{data,network,learning,paste,eums}
out      models/ncdss/eums/ROW-SEED.safetensors (the student, float16), .csv (losses)
command  python -m stages.ncdss.eums ROW SEED        ROW is one of those of ncdss.rows.eums
cost     3 to 5 minutes on one core
expect   2 points of novel mIoU above basic of the same row
source   NCDSS, sections 3.4 and 3.5, equations 8 to 10; its code halves the supervised losses, and has a teacher whose
         decoder is in train mode. It starts from ImageNet; ours goes on from basic

A step has labelled base pictures, clean ones with their pseudo-labels, and unclean ones, whose labels the teacher makes
at once. Before the epoch `reassign` the student ranks the clean ones anew: their lower half stays clean.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Sequence
from pathlib import Path

from stages.ncdss.params import EUMS, Ncdss, Params
from stages.parts.command import command
from stages.parts.errors import GraftError
from stages.parts.sections import read

OUT, RANKED, BASIC = Path("models/ncdss/eums"), Path("data/ncdss/ranked"), Path("models/ncdss/basic")
STAYS = 0.5  # share of the clean pictures that stay clean when they are reassigned


@command
def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m stages.ncdss.eums", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("row", choices=EUMS)
    parser.add_argument("seed", type=int)
    args = parser.parse_args(argv)
    params = read(Params)
    train(params.ncdss, params.engine.threads, args.row, args.seed)


def train(ncdss: Ncdss, threads: int, row: str, seed: int) -> None:
    from stages.ncdss import training  # here, for torch and mmseg take seconds to load
    from stages.ncdss.rank import scored
    from stages.parts.discovery.ranking import clean_split
    from stages.parts.discovery.selftraining import Amounts, ClassDiscovery, ConstantTeacher, Reassign, ramp_weight
    from stages.parts.learning.branches import BranchedDataset

    settings, learning, cell = ncdss.eums, ncdss.learning, f"{row}-{seed}"
    _, pictures = training.parts_and_pictures(ncdss.data)
    classes, labels = training.pseudo_labels(ncdss, row)
    assert labels is not None
    clean, unclean = ranked(RANKED / f"{cell}.csv")

    # A student and its teacher, from basic; or as published each from the encoder, their decoders drawn apart.
    goes_on = settings.start == "basic"
    student = training.start(ncdss.network, len(classes), seed, BASIC / f"{cell}.safetensors" if goes_on else None)
    length = ramp_weight(learning.epoch, settings.ramp)
    model = ClassDiscovery(
        student,
        taught=True,
        halve=learning.halve,
        eta=settings.eta,
        weak=Amounts(learning.jitter, learning.hue),
        strong=Amounts(settings.jitter, settings.hue),
        weight=lambda iteration: settings.weight * length(iteration),
        noisy=settings.teacher == "train",
    )
    if not goes_on and model.teacher is not None:
        apart = training.start(ncdss.network, len(classes), seed + 1, None)
        model.teacher.load_state_dict(apart.state_dict())

    # Three branches, of which two change when pictures are reassigned.
    def divided(clean: Sequence[str], unclean: Sequence[str]) -> dict:
        return {
            "base": training.labelled(ncdss, pictures.base_alone, pasted=row == "both"),
            "clean": training.pseudo_labelled(ncdss, clean, labels),
            "unclean": training.unlabelled(ncdss, unclean),
        }

    dataset = BranchedDataset(divided(clean, unclean), settings.iterations * learning.batch, seed)

    def rank_again() -> list[str]:
        student.eval()
        scores, _ = scored(ncdss, student, labels, clean)
        model.train()
        return [uid for uid, stays in zip(clean, clean_split(scores, STAYS), strict=True) if stays]

    def put(stay: list[str]) -> None:
        dataset.branches = divided(stay, sorted({*clean, *unclean} - {*stay}))

    again = [] if settings.reassign is None else [Reassign(settings.reassign * learning.epoch, rank_again, put)]
    training.run(
        ncdss,
        threads,
        title=f"ncdss-eums-{cell}",
        section="ncdss.learning",
        seed=seed,
        iterations=settings.iterations,
        student=student,
        model=model,
        branches=dataset.branches,
        dataset=dataset,
        classes=classes,
        out=OUT / cell,
        inputs=[*training.inputs_of(ncdss, row), RANKED / f"{cell}.csv", BASIC / f"{cell}.safetensors"],
        hooks=[ConstantTeacher(settings.momentum), *again],
    )


def ranked(path: Path) -> tuple[list[str], list[str]]:
    """uids of the clean and of the unclean pictures. GraftError where one of them is empty, or the table is missing."""
    try:
        rows = list(csv.DictReader(path.read_text().splitlines()))
    except FileNotFoundError:
        raise GraftError(f"{path} is missing; run `python -m stages.ncdss.rank` of this row and seed") from None
    clean, unclean = ([row["uid"] for row in rows if row["clean"] == kind] for kind in "10")
    if not clean or not unclean:
        raise GraftError(
            f"{path}: {len(clean)} pictures are clean and {len(unclean)} are not; set ncdss.rank.share so that there "
            "are some of both"
        )
    return clean, unclean


if __name__ == "__main__":
    main()
