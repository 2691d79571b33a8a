"""Train a model on a dataset of draws: mmengine's Runner, made to resume and to repeat itself to the byte."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.utils.deterministic
from mmengine import dist
from mmengine.dataset import InfiniteSampler, pseudo_collate
from mmengine.hooks import Hook
from mmengine.logging import MMLogger
from mmengine.optim import OptimWrapper
from mmengine.runner import Runner, set_random_seed
from torch import nn
from torch.utils.data import DataLoader, Dataset

from stages.parts.errors import GraftError
from stages.parts.learning.distributed import share
from stages.parts.learning.hooks import CHECKPOINT, Checkpoint, Curve, LossCurve, SeedEachIteration, resumable
from stages.parts.store.lock import LOCK

WORK = Path("data/.work")
CHECKPOINT_INTERVAL = 100  # iterations


def fit(
    model: nn.Module,
    dataset: Dataset,
    *,
    seed: int,
    iterations: int,
    batch: int,
    optimiser: OptimWrapper,
    schedule: list[dict[str, Any]],
    work: Path,
    section: str,
    hooks: Sequence[Hook] = (),
    workers: int = 0,
    processes: Mapping[str, Any] | None = None,
) -> Curve:
    """Train `model` in place, from the weights that it has; the losses of every iteration, {"iter", "loss", ...}.

    dataset: iterations * batch draws, item k the same in every process (branches.py). batch: of all processes together.
    work: see work_folder; a run that was killed goes on from its last checkpoint there, to the same bytes as an
    undisturbed one. section: of params.yaml, for errors. processes: what distributed.launch says. GraftError for a loss
    that is no number, and for what the dataset finds wrong. Call make_deterministic before the model is built.
    """
    losses = LossCurve(section)
    model._is_init = True  # type: ignore[assignment]  # or mmengine draws the weights anew, those of a loaded encoder too
    resumed = work / CHECKPOINT if resumable(work / CHECKPOINT) else None
    runner = Runner(
        model,
        work_dir=str(work),
        train_dataloader=DataLoader(
            dataset,
            share(batch, section),
            sampler=InfiniteSampler(dataset, shuffle=False),
            collate_fn=pseudo_collate,
            num_workers=workers,
            persistent_workers=workers > 0,
        ),
        train_cfg={"type": "IterBasedTrainLoop", "max_iters": iterations, "val_interval": iterations},
        optim_wrapper=optimiser,
        param_scheduler=schedule,
        custom_hooks=[*hooks, SeedEachIteration(), losses, Checkpoint(CHECKPOINT_INTERVAL)],
        default_hooks={"timer": None, "sampler_seed": None, "logger": None, "checkpoint": None},
        load_from=str(resumed) if resumed else None,
        resume=resumed is not None,
        randomness={"seed": seed, "deterministic": True},
        log_level="ERROR",
        **(processes or {"launcher": "none"}),
    )
    try:
        runner.train()
    except GraftError as error:  # out of a loader's process it comes with that process's traceback before it
        raise GraftError(str(error).rpartition("GraftError: ")[2].strip()) from None
    finally:
        losses.close()
    return losses.curve


def make_deterministic(seed: int) -> None:
    """The same bytes from every run; MMLogger's 200 lines on where each weight comes from are left out."""
    os.environ["CUBLAS_WORKSPACE_CONFIG"] = ":4096:8"  # without it CUDA's products differ from run to run
    set_random_seed(seed, deterministic=True)
    # Deterministic mode also fills all memory that torch.empty gives, so that whoever reads it unwritten would read
    # the same. No operation here does; the filling is an eighth of a step's time.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    MMLogger.get_instance("mmengine", log_level="ERROR")


def work_folder(name: str, key: str) -> Path:
    """Where the training of this name and key keeps its checkpoint. Those of other params, data or code are thrown
    away: hold its parent folder (store/lock.py) from before until the weights are written."""
    work = WORK / name / key
    if dist.is_main_process():
        for other in set(work.parent.glob("*")) - {work, work.parent / LOCK}:
            shutil.rmtree(other)
    return work
