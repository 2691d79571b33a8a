"""The training loop of the small models: deterministic batches, a moving average, a checkpoint that resumes.

Batch `step` of a model is a pure function of (seed, step), so a run that was killed and started again sees what an
undisturbed one would have seen.
"""

from __future__ import annotations

import math
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from tqdm import tqdm

from stages.parts.errors import GraftError
from stages.parts.store.fingerprint import fingerprint
from stages.parts.store.keys import file_hash, key
from stages.parts.store.lock import alone

WORK = Path("lines/miniature/data/work")
Loss = Callable[[int, np.random.Generator, torch.Generator], Tensor]
EVERY = 200  # steps between checkpoints


def work_folder(name: str, *inputs: Path, room: str = "stages.miniature") -> Path:
    """Where a training keeps its checkpoint: one folder per code and inputs, so that none resumes another."""
    version = key(code=fingerprint(f"{room}.{name}"), inputs=[file_hash(path) for path in inputs])
    for other in set((WORK / name).glob("*")) - {WORK / name / version}:
        shutil.rmtree(other) if other.is_dir() else other.unlink()
    return WORK / name / version


def train(
    model: nn.Module,
    loss: Loss,
    *,
    title: str,
    steps: int,
    lr: float,
    folder: Path,
    average: float = 0.0,
    every: int = EVERY,
    device: str = "cpu",
) -> list[float]:
    """Minimise `loss(step, numpy rng, torch rng)` over the model's trainable parameters with AdamW.

    Warm-up over 2 % of the steps, then a cosine down to 5 % of `lr`; gradients clipped at 1. With `average` > 0 the
    model ends with the exponential moving average of its weights. Resumes from `folder`. Gives the mean loss per
    `every` steps, at which it also saves. On another `device` the model goes there for the training and comes back;
    `loss` puts what it draws where the model is. Raises GraftError when the loss is not finite.
    """
    # Once a softmax is sure, gradients fall below 1e-38, and numbers so small cost a CPU twenty times what others do.
    torch.set_flush_denormal(True)
    model.to(device)
    parameters = {n: p for n, p in model.named_parameters() if p.requires_grad}
    buffers = dict(model.named_buffers())
    optimiser = torch.optim.AdamW(parameters.values(), lr=lr, betas=(0.9, 0.98), weight_decay=0.01)
    shadow = {n: p.detach().clone() for n, p in parameters.items()}
    with alone(folder):
        step, curve, recent = _resume(folder, parameters, shadow, buffers, optimiser)
        bar = tqdm(total=steps, initial=step, desc=title, unit="step", mininterval=5)
        while step < steps:
            for group in optimiser.param_groups:
                group["lr"] = lr * _schedule(step, steps)
            value = loss(step, np.random.default_rng((0, step)), torch.Generator().manual_seed(step))
            if not torch.isfinite(value):
                raise GraftError(f"{title}: the loss is {value.item()} at step {step}; lower its learning rate")
            optimiser.zero_grad(set_to_none=True)
            value.backward()
            nn.utils.clip_grad_norm_(parameters.values(), 1.0)
            optimiser.step()
            step += 1
            decay = min(average, 1 - 1 / step)
            with torch.no_grad():
                torch._foreach_lerp_(list(shadow.values()), list(parameters.values()), 1 - decay)
            recent.append(value.item())
            bar.update()
            if step % every == 0 or step == steps:
                curve.append(sum(recent) / len(recent))
                recent.clear()
                bar.set_postfix(loss=f"{curve[-1]:.4f}")
                _save(folder, step, parameters, shadow, buffers, optimiser, curve)
        bar.close()
    with torch.no_grad():
        for name, p in parameters.items():
            p.copy_(shadow[name])
    model.to("cpu")
    return curve


def _schedule(step: int, steps: int) -> float:
    warm = max(1, steps // 50)
    if step < warm:
        return (step + 1) / warm
    return 0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))


def _save(
    folder: Path,
    step: int,
    parameters: dict,
    shadow: dict,
    buffers: dict,
    optimiser: torch.optim.Optimizer,
    curve: list[float],
) -> None:
    """One safetensors file, whole or absent: weights, their average, buffers, AdamW's moments, the step, the curve."""
    state = {"step": torch.tensor(step), "curve": torch.tensor(curve, dtype=torch.float64)}
    for name, p in parameters.items():
        state[f"weight/{name}"], state[f"shadow/{name}"] = p.detach().contiguous(), shadow[name].contiguous()
        if optimiser.state.get(p):  # a parameter that had no gradient yet has no moments
            state[f"m/{name}"] = optimiser.state[p]["exp_avg"].contiguous()
            state[f"v/{name}"] = optimiser.state[p]["exp_avg_sq"].contiguous()
    state |= {f"buffer/{name}": value.contiguous() for name, value in buffers.items()}
    folder.mkdir(parents=True, exist_ok=True)
    save_file(state, folder / "checkpoint.tmp")
    os.replace(folder / "checkpoint.tmp", folder / "checkpoint.safetensors")


def _resume(
    folder: Path, parameters: dict, shadow: dict, buffers: dict, optimiser: torch.optim.Optimizer
) -> tuple[int, list[float], list[float]]:
    path = folder / "checkpoint.safetensors"
    if not path.is_file():
        return 0, [], []
    state = load_file(path)
    step = int(state["step"])
    with torch.no_grad():
        for name, p in parameters.items():
            p.copy_(state[f"weight/{name}"])
            shadow[name].copy_(state[f"shadow/{name}"])
            if f"m/{name}" in state:
                moments = {k: state[f"{m}/{name}"].to(p.device) for m, k in (("m", "exp_avg"), ("v", "exp_avg_sq"))}
                optimiser.state[p] = {"step": torch.tensor(float(step)), **moments}
        for name, value in buffers.items():
            value.copy_(state[f"buffer/{name}"])
    return step, state["curve"].tolist(), []
