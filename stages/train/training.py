"""One training, from the folders to the weights: the method section of the stage."""

from __future__ import annotations

import shutil
from pathlib import Path

from mmengine import dist

from stages.parts.datasets.labels import LABELS
from stages.parts.learning.distributed import launch
from stages.parts.learning.fit import fit, make_deterministic, work_folder
from stages.parts.learning.hooks import Curve, MeanTeacher
from stages.parts.learning.optimisation import adamw, learning_rate
from stages.parts.pasting.paste import read_bank
from stages.parts.pretrained.weights import find_encoder
from stages.parts.segmenter.files import load_encoder, save_segmenter
from stages.parts.segmenter.networks import build_segmenter
from stages.parts.store.atomic import write_csv
from stages.parts.store.fingerprint import fingerprint
from stages.parts.store.keys import file_hash, key
from stages.parts.store.shards import INDEX, Shards
from stages.train import setup
from stages.train.labelled import labelled
from stages.train.methods import METHODS
from stages.train.params import Train
from stages.train.selftraining import SelfTraining


def train(settings: Train, threads: int, recipe: str, seed: int, workers: int = 0) -> None:
    """Write models/segmenters/RECIPE-SEED.safetensors and data/trained/RECIPE-SEED.csv."""
    # What is learned from, looked at before anything is built.
    method = METHODS[settings.method]
    source = labelled(settings.method).verify()
    target = Shards("data/scenes/target").verify() if method.adapts else None
    bank = Shards(f"data/cutouts/{recipe}").verify()
    setup.check(settings, source, target)
    processes = launch()
    weights = find_encoder(settings.encoder, settings.encoder_revision) if settings.encoder else None
    work = work_folder(f"{recipe}-{seed}", training_key(settings, threads, weights, source, target, bank))

    # The student, and how it learns.
    make_deterministic(seed)
    detail = (settings.detail.size[0], settings.detail.size[1]) if method.detail else None
    student = build_segmenter(settings.model, len(LABELS.names), detail)
    student.init_weights()
    encoder = load_encoder(student, weights) if weights else None
    model = SelfTraining(student, settings, LABELS)
    curve = fit(
        model,
        setup.dataset(settings, seed, source, target, read_bank(bank, LABELS)),
        seed=seed,
        iterations=settings.iterations,
        batch=settings.batch,
        optimiser=adamw(student, settings.lr, settings.weight_decay, encoder, settings.encoder_lr, settings.no_decay),
        schedule=learning_rate(settings.warmup, settings.iterations),
        hooks=[MeanTeacher(settings.ema, settings.ema_at)] if method.adapts else [],
        work=work,
        section="train",
        workers=workers,
        processes=processes,
    )

    # What stays.
    if dist.is_main_process():
        path = f"models/segmenters/{recipe}-{seed}.safetensors"
        save_segmenter(student, path, settings.model, LABELS.names)
        write_curve(Path(f"data/trained/{recipe}-{seed}.csv"), curve)
        shutil.rmtree(work)


def training_key(settings: Train, threads: int, weights: Path | None, *inputs: Shards | None) -> str:
    """Over all that makes the weights: a checkpoint of another run is not gone on from."""
    return key(
        train=settings.model_dump(),
        threads=threads,
        classes=LABELS.names,
        inputs=[file_hash(shards.folder / INDEX) for shards in inputs if shards is not None],
        encoder=file_hash(weights) if weights else None,
        code=fingerprint("stages.train.training"),
    )


def write_curve(path: Path, curve: Curve) -> None:
    write_csv(path, curve[0], ([f"{value:.6g}" for value in row.values()] for row in curve))
