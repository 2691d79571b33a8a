"""fit: stochastic EM. The teacher names each proposal, the student learns the names, from views of its own where params
ask for them, and the teacher follows the student.

in       the splits learn and val of a dataset, data/primaps/proposals/SET, models/primaps/SET/SEED-start.safetensors,
         the backbone, params primaps.fit
out      models/primaps/SET/SEED.safetensors: v and g of the student, of the teacher at the end, and of the teacher that
         was best on val; the mean feature
         data/primaps/fitted/SET-SEED.csv: step, loss, mIoU on val, at every check
command  python -m stages.primaps.fit SET SEED
cost     streets: a minute and a half on one core, most of it features
expect   what summary calls `em`, at the end, and `em_best`
source   Hahn et al., TMLR 2024, section 3.2. Augmentation before normalisation, and val, not test, for the best: ours

No label of `learn` is read; val decides which is the best, and nothing else. A killed run goes on from its last check.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from stages.parts.command import command, seed
from stages.parts.sections import read
from stages.parts.store.atomic import write_csv, write_whole
from stages.parts.store.fingerprint import fingerprint
from stages.parts.store.samples import Shards, file_hash, key
from stages.primaps.params import Params

MODELS, FITTED, WORK = Path("models/primaps"), Path("data/primaps/fitted"), Path("data/.work")
PROPOSALS = Path("data/primaps/proposals")


@command
def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m stages.primaps.fit", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("set", metavar="SET", help="a dataset of params.yaml primaps.sets, such as streets")
    parser.add_argument("seed", type=seed, metavar="SEED", help="of the order of the pictures and of their views")
    arguments, params = parser.parse_args(argv), read(Params)

    from safetensors.torch import load_file, save  # here, as what follows: --help needs no network

    from stages.primaps.scoring import check_clusters, open_data, open_features
    from stages.primaps.training import ExpectationMaximisation

    primaps, cell = params.primaps, f"{arguments.set}-{arguments.seed}"
    data, start = open_data(primaps, arguments.set), MODELS / arguments.set / f"{arguments.seed}-start.safetensors"
    learn, val, proposals = data.split("learn"), data.split("val"), Shards(PROPOSALS / arguments.set).verify()
    check_clusters(data, val)
    made_by = key(
        fit=primaps.fit.model_dump(), start=file_hash(start), proposals=file_hash(PROPOSALS / arguments.set),
        code=fingerprint("stages.primaps.training"), threads=params.engine.threads,
    )  # fmt: skip
    run = ExpectationMaximisation(primaps.fit, load_file(start), arguments.seed, WORK / f"primaps-{cell}-{made_by}.pt")
    weights = run.fit(open_features(primaps), learn, proposals, data, val)
    write_whole(MODELS / arguments.set / f"{arguments.seed}.safetensors", save(weights))
    write_csv(FITTED / f"{cell}.csv", ("step", "loss", "val_mIoU"), run.rows)
    run.work.unlink()


if __name__ == "__main__":
    main()
