"""initialise: prototypes by cosine k-means, from the principal directions of all features: the baseline.

in       the split learn of a dataset, the backbone, params primaps.initialise
out      models/primaps/SET/SEED-start.safetensors: v (K, C), g (K,) and the mean feature (C,)
command  python -m stages.primaps.initialise SET SEED
cost     streets: half a minute on one core, most of it features
expect   what summary calls `baseline`
source   Hahn et al., TMLR 2024, section 3.2 and the published code: L = - mean max_k cos(v_k, f), Adam

The seed decides the order of the pictures. No label is read.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from stages.parts.command import command, seed
from stages.parts.sections import read
from stages.parts.store.atomic import write_whole
from stages.primaps.params import Params

MODELS = Path("models/primaps")


@command
def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m stages.primaps.initialise",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("set", metavar="SET", help="a dataset of params.yaml primaps.sets, such as streets")
    parser.add_argument("seed", type=seed, metavar="SEED", help="of the order of the pictures")
    arguments, primaps = parser.parse_args(argv), read(Params).primaps

    from safetensors.torch import save  # here, as what follows: --help needs no network

    from stages.primaps.scoring import open_data, open_features
    from stages.primaps.training import kmeans

    data = open_data(primaps, arguments.set)
    learn = data.split("learn")
    start = kmeans(primaps.initialise, open_features(primaps), learn, data.given.clusters, arguments.seed)
    write_whole(MODELS / arguments.set / f"{arguments.seed}-start.safetensors", save(start))


if __name__ == "__main__":
    main()
