"""Train a segmenter on labelled source images with pasted cutouts and on unlabelled target images.

    python -m stages.train RECIPE SEED
    torchrun --nproc-per-node 4 -m stages.train RECIPE SEED     # on four GPUs; train.batch is shared among them

in      data/scenes/{source,target}/, data/cutouts/RECIPE/, the weights of train.encoder, the section `train` of
        params.yaml; method supervised: data/scenes/oracle/ of `python -m stages.scenes oracle`, and no target
out     models/segmenters/RECIPE-SEED.safetensors,
        metrics/train/RECIPE-SEED.csv (the losses of every iteration)
cost    about 4 minutes on two cores with the default params (OMP_NUM_THREADS=2)
expect  baseline: mix.quality is about 0.7 after 600 iterations
source  DACS (Tranheden et al. 2021), DAFormer (Hoyer et al. 2022), HRDA (2022), MIC (2023), pasting of UCG; methods.py
        tells what each consists of, presets.py with which values

A run that was killed goes on from its last checkpoint in data/.work/, to the same bytes as an undisturbed
one.
"""

from __future__ import annotations

import argparse
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import torch
import torch.utils.deterministic
from mmengine import dist
from mmengine.dataset import InfiniteSampler, pseudo_collate
from mmengine.logging import MMLogger
from mmengine.runner import Runner, set_random_seed
from torch.utils.data import DataLoader

from stages.parts import segmenter
from stages.parts.command import command
from stages.parts.datasets.labels import LABELS
from stages.parts.errors import GraftError
from stages.parts.learning.distributed import launch, share
from stages.parts.learning.hooks import (
    CHECKPOINT,
    Checkpoint,
    Curve,
    LossCurve,
    MeanTeacher,
    SeedEachIteration,
    resumable,
)
from stages.parts.learning.optimisation import adamw, learning_rate
from stages.parts.pasting.paste import read_bank
from stages.parts.pretrained.tensors import find_encoder
from stages.parts.sections import read
from stages.parts.store import samples
from stages.parts.store.atomic import write_csv
from stages.parts.store.fingerprint import fingerprint
from stages.train import setup
from stages.train.labelled import labelled
from stages.train.methods import METHODS
from stages.train.params import Params, Train
from stages.train.selftraining import SelfTraining

CHECKPOINT_INTERVAL = 100


@command
def main(argv: Sequence[str] | None = None) -> None:
    recipe, seed, workers = _arguments(argv)
    train = read(Params).train
    method = METHODS[train.method]
    source = labelled(train.method).verify()
    target = samples.Shards("data/scenes/target").verify() if method.adapts else None
    bank = samples.Shards(f"data/cutouts/{recipe}").verify()
    setup.check(train, source, target)
    processes = launch()
    weights = find_encoder(train.encoder, train.encoder_revision) if train.encoder else None
    work = _work_folder(recipe, seed, train, weights, source, target, bank)

    _make_deterministic(seed)
    detail = (train.detail.size[0], train.detail.size[1]) if method.detail else None
    student = segmenter.build(train.model, len(LABELS.names), detail)
    student.init_weights()
    encoder = segmenter.load_encoder(student, weights) if weights else None
    model = SelfTraining(student, method, setup.options(train))
    dataset = setup.dataset(train, seed, source, target, read_bank(bank))
    losses = LossCurve()
    teacher = [MeanTeacher(train.ema, train.ema_at)] if method.adapts else []
    resumed = work / CHECKPOINT if resumable(work / CHECKPOINT) else None
    runner = Runner(
        model,
        work_dir=str(work),
        train_dataloader=DataLoader(
            dataset,
            share(train.batch),
            sampler=InfiniteSampler(dataset, shuffle=False),
            collate_fn=pseudo_collate,
            num_workers=workers,
            persistent_workers=workers > 0,
        ),
        train_cfg={
            "type": "IterBasedTrainLoop",
            "max_iters": train.iterations,
            "val_interval": train.iterations,
        },
        optim_wrapper=adamw(student, train.lr, train.weight_decay, encoder, train.encoder_lr, train.no_decay),
        param_scheduler=learning_rate(train.warmup, train.iterations),
        custom_hooks=[*teacher, SeedEachIteration(), losses, Checkpoint(CHECKPOINT_INTERVAL)],
        default_hooks={"timer": None, "sampler_seed": None, "logger": None, "checkpoint": None},
        load_from=str(resumed) if resumed else None,
        resume=resumed is not None,
        randomness={"seed": seed, "deterministic": True},
        log_level="ERROR",
        **processes,
    )
    try:
        runner.train()
    except GraftError as error:  # out of a loader's process it comes with that process's traceback before it
        raise GraftError(str(error).rpartition("GraftError: ")[2].strip()) from None
    finally:
        losses.close()

    if dist.is_main_process():
        segmenter.save(student, f"models/segmenters/{recipe}-{seed}.safetensors", train.model, LABELS.names)
        _write_curve(Path(f"metrics/train/{recipe}-{seed}.csv"), losses.curve)
        shutil.rmtree(work.parent)


def _arguments(argv: Sequence[str] | None) -> tuple[str, int, int]:
    parser = argparse.ArgumentParser(
        prog="python -m stages.train",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("recipe", help="a folder of data/cutouts/, for example baseline or grafted")
    parser.add_argument("seed", type=int, help="seed of the weights, of the images' order and of every augmentation")
    parser.add_argument("--workers", type=int, default=0, help="processes that load images; they change no byte")
    args = parser.parse_args(argv)
    if args.seed < 0:
        raise GraftError(f"the seed must be 0 or more (it is {args.seed}); correct seeds in params.yaml")
    return args.recipe, args.seed, args.workers


def _make_deterministic(seed: int) -> None:
    """The same bytes from every run; MMLogger's 200 lines on where each weight comes from are left out."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # without it CUDA's products differ from run to run
    set_random_seed(seed, deterministic=True)
    # Deterministic mode also fills all memory that torch.empty gives, so that whoever reads it unwritten would read
    # the same. No operation here does; the filling is an eighth of a step's time.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    MMLogger.get_instance("mmengine", log_level="ERROR")


def _work_folder(recipe: str, seed: int, train: Train, weights: Path | None, *inputs: samples.Shards | None) -> Path:
    """Where this very run keeps its checkpoint. Those of other params, data or code are thrown away."""
    key = samples.key(
        train=train.model_dump(),
        classes=LABELS.names,
        inputs=[samples.file_hash(shards.folder / "index.jsonl") for shards in inputs if shards is not None],
        encoder=samples.file_hash(weights) if weights else None,
        code=fingerprint("stages.train.__main__"),
    )
    work = Path("data/.work", f"{recipe}-{seed}", key)
    if dist.is_main_process():
        for other in set(work.parent.glob("*")) - {work}:
            shutil.rmtree(other)
    return work


def _write_curve(path: Path, curve: Curve) -> None:
    write_csv(path, curve[0], ([f"{value:.6g}" for value in row.values()] for row in curve))


if __name__ == "__main__":
    main()
