"""Train a segmenter on the drawings and their masks, on labelled photos, or on both; then, if asked, once more.

in       data/dataset_diffusion/masks/VARIANT/ and the drawings that it names, data/photos/train, the weights of
         `train.encoder`
out      models/dataset_diffusion/VARIANT-SEED.safetensors (float16), data/dataset_diffusion/trained/VARIANT-SEED.csv
         (the losses of every iteration, of the last round)
command  python -m stages.dataset_diffusion.train VARIANT SEED
cost     small world: a minute or two on two cores for each round
expect   the loss ends below a tenth of where it began
source   Nguyen et al., Dataset Diffusion (NeurIPS 2023), section 3.4: cross-entropy that passes over the band of doubt
         (255), AdamW, poly 0.9; self-training: the segmenter labels its own drawings, and a new one learns from that

The weights' average (`train.ema`) is what an author says that the paper's runs used; the published code lacks it. A
stopped run goes on from its last checkpoint in data/.work/, to the same bytes.
"""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Sequence
from pathlib import Path

from stages.dataset_diffusion.generate import FOLDER as DRAWINGS
from stages.dataset_diffusion.masks import FOLDER as MASKS
from stages.dataset_diffusion.params import Params
from stages.parts.command import command
from stages.parts.errors import GraftError
from stages.parts.sections import read

WEIGHTS, CURVES = Path("models/dataset_diffusion"), Path("data/dataset_diffusion/trained")


@command
def main(argv: Sequence[str] | None = None) -> None:
    variant, seed, workers = _arguments(argv)
    params = read(Params)
    line = params.dataset_diffusion
    line.check_variant(variant)
    settings, masks = line.train_of(variant), line.masks_of(variant)

    # here, for torch and mmseg take seconds to load
    from stages.dataset_diffusion.rounds import Sources, first_photos, round_of, training_key
    from stages.parts.datasets.joined import Joined
    from stages.parts.datasets.label_spaces import label_space
    from stages.parts.learning.fit import work_folder
    from stages.parts.pretrained.weights import find_encoder
    from stages.parts.segmenter.further import save_halves
    from stages.parts.store.atomic import write_csv

    # What is learned from, looked at before anything is built.
    labels = label_space(line.space)
    drawings = Joined(DRAWINGS / masks.prompt, MASKS / variant).verify() if settings.drawn else None
    photos = first_photos(Path(line.photos) / "train", settings.real) if settings.real else None
    sources = Sources(labels, drawings, photos)
    sources.check()
    encoder = find_encoder(settings.encoder, settings.encoder_revision) if settings.encoder else None
    name = f"dataset_diffusion-{variant}-{seed}"
    work = work_folder(name, training_key(settings, params.engine.threads, sources, encoder))

    # The rounds: the first by the masks, the second by what the first sees in the drawings.
    model, curve = round_of(settings, seed, sources, encoder, work / "round-1", workers)
    if settings.rounds > 1:
        model, curve = round_of(settings, seed, sources.relabelled(model), encoder, work / "round-2", workers)

    # What stays.
    save_halves(model, WEIGHTS / f"{variant}-{seed}.safetensors", settings.model, labels.names)
    write_csv(CURVES / f"{variant}-{seed}.csv", curve[0], ([f"{value:.6g}" for value in row.values()] for row in curve))
    shutil.rmtree(work.parent)


def _arguments(argv: Sequence[str] | None) -> tuple[str, int, int]:
    parser = argparse.ArgumentParser(
        prog="python -m stages.dataset_diffusion.train",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("variant", metavar="VARIANT", help="a variant of params.yaml dataset_diffusion.changes")
    parser.add_argument("seed", type=int, help="seed of the weights, of the pictures' order and of every augmentation")
    parser.add_argument("--workers", type=int, default=0, help="processes that load pictures; they change no byte")
    args = parser.parse_args(argv)
    if args.seed < 0:
        raise GraftError(f"the seed must be 0 or more (it is {args.seed}); correct dataset_diffusion.seeds")
    return args.variant, args.seed, args.workers


if __name__ == "__main__":
    main()
