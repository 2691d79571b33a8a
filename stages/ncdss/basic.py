"""basic: a segmenter of base and novel classes, from labels of the ones and clusters of the others [2.4].

in       data/photos/train, data/ncdss/{regions,clusters.csv,clusters.json}, data/cutouts/grafted/ (cutouts and both),
         models/ncdss/base.safetensors, params ncdss.{data,network,learning,paste,basic}
out      models/ncdss/basic/ROW-SEED.safetensors (float16), .csv (losses)
command  python -m stages.ncdss.basic ROW SEED       ROW is one of those of ncdss.rows.basic
cost     1 to 2 minutes on one core
expect   exact: 60 novel mIoU on test, 62 to 63 on val
source   NCDSS, section 3.3, equation 5; its code halves the sum and starts from ImageNet, not from the base model

ROW      exact: as many clusters as novel classes; overclustered: more; named: clusters called by the cutouts' names;
         cutouts: no clusters, the cutouts pasted into labelled pictures; both: the two; long: exact, as many iterations
         as basic and eums together; supervised: true labels of the same pictures, the bound
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from stages.ncdss.params import BASIC, Ncdss, Params
from stages.parts.command import command
from stages.parts.sections import read

if TYPE_CHECKING:
    from stages.parts.learning.branches import Branch

OUT = Path("models/ncdss/basic")
BASE = Path("models/ncdss/base.safetensors")


@command
def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m stages.ncdss.basic", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("row", choices=BASIC)
    parser.add_argument("seed", type=int)
    args = parser.parse_args(argv)
    params = read(Params)
    train(params.ncdss, params.engine.threads, args.row, args.seed)


def train(ncdss: Ncdss, threads: int, row: str, seed: int) -> None:
    from stages.ncdss import training  # here, for torch and mmseg take seconds to load

    classes, sets = branches(ncdss, row)
    from_base = BASE if ncdss.network.start == "base" else None
    training.run(
        ncdss,
        threads,
        title=f"ncdss-basic-{row}-{seed}",
        section="ncdss.learning",
        seed=seed,
        iterations=ncdss.basic.long if row == "long" else ncdss.basic.iterations,
        student=training.start(ncdss.network, len(classes), seed, from_base),
        branches=sets,
        classes=classes,
        out=OUT / f"{row}-{seed}",
        inputs=training.inputs_of(ncdss, row),
    )


def branches(ncdss: Ncdss, row: str) -> tuple[tuple[str, ...], dict[str, Branch]]:
    """The outputs' names, and what a batch is made of: base pictures with labels, novel ones with pseudo-labels."""
    from stages.ncdss import training

    _, pictures = training.parts_and_pictures(ncdss.data)
    classes, labels = training.pseudo_labels(ncdss, row)
    sets = {"base": training.labelled(ncdss, pictures.base_alone, pasted=row in ("cutouts", "both"))}
    if row == "supervised":
        sets["novel"] = training.labelled(ncdss, pictures.novel, truth=True)
    elif labels is not None:
        sets["novel"] = training.pseudo_labelled(ncdss, sorted(labels.classes), labels)
    return classes, sets


if __name__ == "__main__":
    main()
