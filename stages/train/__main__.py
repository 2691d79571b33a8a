"""Train a segmenter on labelled source images with pasted cutouts and on unlabelled target images.

    python -m stages.train RECIPE SEED

in      data/scenes/{source,target}/, data/cutouts/RECIPE/, the weights of train.encoder, the section `train` of
        params.yaml
out     models/segmenters/RECIPE-SEED.safetensors,
        metrics/train/RECIPE-SEED.csv (the losses of every iteration)
cost    about 2 minutes on two cores with the default params
expect  baseline: mix.quality climbs above 0.8 within 600 iterations
source  DACS (Tranheden et al. 2021), schedule of DAFormer (Hoyer et al. 2022), pasting of UCG

A run that was killed goes on from its last checkpoint in data/.work/, to the same bytes as an undisturbed
one.
"""

from __future__ import annotations

import argparse
import csv
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from mmengine.dataset import InfiniteSampler, pseudo_collate
from mmengine.runner import Runner, set_random_seed
from torch.utils.data import DataLoader

from stages import params, samples, segmenter
from stages.labels import CITYSCAPES, GraftError
from stages.train.dacs import DACS
from stages.train.dataset import Cutouts, Flip, SourceTarget
from stages.train.hooks import CHECKPOINT, Checkpoint, Curve, LossCurve, MeanTeacher, SeedEachIteration
from stages.train.optimisation import adamw, learning_rate
from stages.train.paste import PasteCutouts

FLIP = 0.5
CHECKPOINT_INTERVAL = 100


@params.command
def main(argv: Sequence[str] | None = None) -> None:
    recipe, seed = _arguments(argv)
    train = params.read().train
    source, target = samples.Shards("data/scenes/source"), samples.Shards("data/scenes/target")
    bank = samples.Shards(f"data/cutouts/{recipe}")
    _check_scenes(source, target)
    work = _work_folder(recipe, seed, train, source, target, bank)

    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # without it CUDA's products differ from run to run
    set_random_seed(seed, deterministic=True)
    student = segmenter.build(train.model, len(CITYSCAPES.names))
    student.init_weights()
    encoder = segmenter.load_encoder(student, train.encoder) if train.encoder else None
    model = DACS(student, train.pseudo_threshold, train.jitter_probability, train.jitter, train.blur_probability)
    cutouts = {CITYSCAPES.id(name): Cutouts(bank, name) for name in sorted({row["class"] for row in bank.rows})}
    dataset = SourceTarget(
        source,
        target,
        draws=train.iterations * train.batch,
        seed=seed,
        source_pipeline=[PasteCutouts(cutouts, **train.paste.model_dump()), Flip(FLIP)],
        target_pipeline=[Flip(FLIP)],
    )
    losses = LossCurve()
    resumed = work / CHECKPOINT
    Runner(
        model,
        work_dir=str(work),
        train_dataloader=DataLoader(
            dataset, train.batch, sampler=InfiniteSampler(dataset, shuffle=False), collate_fn=pseudo_collate
        ),
        train_cfg={
            "type": "IterBasedTrainLoop",
            "max_iters": train.iterations,
            "val_interval": train.iterations,
        },
        optim_wrapper=adamw(student, train.lr, train.weight_decay, encoder, train.encoder_lr),
        param_scheduler=learning_rate(train.warmup, train.iterations),
        custom_hooks=[MeanTeacher(train.ema), SeedEachIteration(), losses, Checkpoint(CHECKPOINT_INTERVAL)],
        default_hooks={"timer": None, "sampler_seed": None, "logger": None, "checkpoint": None},
        load_from=str(resumed) if resumed.exists() else None,
        resume=resumed.exists(),
        randomness={"seed": seed, "deterministic": True},
        log_level="ERROR",
    ).train()

    segmenter.save(student, f"models/segmenters/{recipe}-{seed}.safetensors", train.model, CITYSCAPES.names)
    _write_curve(Path(f"metrics/train/{recipe}-{seed}.csv"), losses.curve)
    shutil.rmtree(work.parent)


def _arguments(argv: Sequence[str] | None) -> tuple[str, int]:
    parser = argparse.ArgumentParser(
        prog="python -m stages.train",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("recipe", help="a folder of data/cutouts/, for example baseline or grafted")
    parser.add_argument("seed", type=int, help="seed of the weights, of the images' order and of every augmentation")
    args = parser.parse_args(argv)
    if args.seed < 0:
        raise GraftError(f"the seed must be 0 or more (it is {args.seed}); correct train.seeds in params.yaml")
    return args.recipe, args.seed


def _check_scenes(source: samples.Shards, target: samples.Shards) -> None:
    for shards in (source, target):
        if not shards.rows:
            raise GraftError(
                f"{shards.folder} holds no image; run the stage scenes with scenes.{shards.folder.name} >= 1"
            )
    sizes = {(row["height"], row["width"]) for shards in (source, target) for row in shards.rows}
    if len(sizes) > 1:
        raise GraftError(
            f"data/scenes has images of {len(sizes)} sizes; make all source and target images equal in size"
        )


def _work_folder(recipe: str, seed: int, train: params.Train, *inputs: samples.Shards) -> Path:
    """Where this very run keeps its checkpoint. Those of other params, data or code are thrown away."""
    key = samples.key(
        train=train.model_dump(exclude={"recipes", "seeds"}),
        inputs=[samples.file_hash(shards.folder / "index.jsonl") for shards in inputs],
        encoder=samples.file_hash(train.encoder) if train.encoder else None,
        code=samples.code_version("stages.train", "stages.segmenter"),
    )
    work = Path("data/.work", f"{recipe}-{seed}", key)
    for other in set(work.parent.glob("*")) - {work}:
        shutil.rmtree(other)
    return work


def _write_curve(path: Path, curve: Curve) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(curve[0])
        writer.writerows([f"{value:.6g}" for value in row.values()] for row in curve)


if __name__ == "__main__":
    main()
