"""Train a segmenter on labelled source images with pasted cutouts and on unlabelled target images.

    python -m stages.train RECIPE SEED
    torchrun --nproc-per-node 4 -m stages.train RECIPE SEED     # on four GPUs; train.batch is shared among them

in      data/scenes/{source,target}/, data/cutouts/RECIPE/, the weights of train.encoder, the section `train` of
        params.yaml; method supervised: data/scenes/oracle/ of `python -m stages.scenes oracle`, and no target
out     models/segmenters/RECIPE-SEED.safetensors,
        data/trained/RECIPE-SEED.csv (the losses of every iteration)
cost    about 4 minutes on two cores with the default params
expect  baseline: mix.quality is about 0.7 after 600 iterations
source  DACS (Tranheden et al. 2021), DAFormer (Hoyer et al. 2022), HRDA (2022), MIC (2023), pasting of UCG; methods.py
        tells what each consists of, presets.py with which values

A run that was killed goes on from its last checkpoint in data/.work/, to the same bytes as an undisturbed
one.
"""

from __future__ import annotations

import argparse
import contextlib
import os
from collections.abc import Sequence
from pathlib import Path

from stages.parts.command import command, seed
from stages.parts.sections import read
from stages.parts.store.lock import alone
from stages.train.params import Params


@command
def main(argv: Sequence[str] | None = None) -> None:
    recipe, number, workers = _arguments(argv)
    params = read(Params)
    first = os.environ.get("RANK", "0") == "0"  # of torchrun's processes, which train one segmenter together
    with alone(Path(f"data/.work/{recipe}-{number}")) if first else contextlib.nullcontext():
        from stages.train.training import train  # here, for torch and mmseg take seconds to load

        train(params.train, params.engine.threads, recipe, number, workers)


def _arguments(argv: Sequence[str] | None) -> tuple[str, int, int]:
    parser = argparse.ArgumentParser(
        prog="python -m stages.train",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("recipe", help="a folder of data/cutouts/, for example baseline or grafted")
    parser.add_argument("seed", type=seed, help="seed of the weights, of the images' order and of every augmentation")
    parser.add_argument("--workers", type=int, default=0, help="processes that load images; they change no byte")
    args = parser.parse_args(argv)
    return args.recipe, args.seed, args.workers


if __name__ == "__main__":
    main()
