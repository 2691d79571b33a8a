"""A training that was killed goes on from its checkpoint, to the same bytes as an undisturbed one."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from stages.train.__main__ import main
from stages.train.methods import METHODS, Name
from tests.train.conftest import edit_params, outputs, write_scenes

pytestmark = pytest.mark.usefixtures("root")
REPO = Path(__file__).parents[2]


KILLED = """
import os, signal
from stages.parts.learning import fit
from stages.train.__main__ import main

class Killer(fit.Checkpoint):
    def after_train_iter(self, runner, *arguments, **named):
        super().after_train_iter(runner, *arguments, **named)
        if runner.iter == int(os.environ.get("KILLED_AT", 7)):
            os.kill(os.getpid(), signal.SIGKILL)

fit.Checkpoint, fit.CHECKPOINT_INTERVAL = Killer, 5
main(["grafted", "0"])
"""


SURE = {"unet": {"pseudo_threshold": 0.08}, "segformer-b0": {"pseudo_threshold": 0.3}}  # after a few iterations


def qualities() -> list[float]:
    rows = csv.DictReader(outputs()[1].decode().splitlines())
    return [float(row["mix.quality"]) for row in rows]


def killed(iteration: int = 7) -> None:
    """A training in a process of its own that is killed in an iteration after a checkpoint of the fifth or tenth."""
    environment = os.environ | {"PYTHONPATH": str(REPO), "OMP_NUM_THREADS": "1", "KILLED_AT": str(iteration)}
    run = subprocess.run([sys.executable, "-c", KILLED], env=environment, capture_output=True, text=True)
    assert run.returncode == -signal.SIGKILL, run.stderr
    assert len(list(Path("data/.work").glob("*/*/checkpoint.pth"))) == 1
    assert not Path("models").exists()


@pytest.mark.parametrize("name", ["unet", "segformer-b0"])  # segformer drops out: its random state must come back too
def test_a_killed_run_goes_on_to_the_same_bytes(root: Path, name: str, capsys: pytest.CaptureFixture):
    edit_params(root, lambda params: params["train"].update(model=name, iterations=12, warmup=3, **SURE[name]))
    killed()
    main(["grafted", "0"])
    resumed = outputs()
    assert any(0 < q < 1 for q in qualities()[5:])  # the teacher's word counts after the kill
    progress = capsys.readouterr().err
    assert " 5/12" in progress
    assert " 0/12" not in progress  # it did not begin anew
    main(["grafted", "0"])
    assert outputs() == resumed


def test_a_torn_checkpoint_is_told_of_and_the_training_begins_anew(root: Path, capsys: pytest.CaptureFixture):
    edit_params(root, lambda params: params["train"].update(iterations=7))
    killed(6)
    checkpoint = next(Path("data/.work").glob("*/*/checkpoint.pth"))
    checkpoint.write_bytes(checkpoint.read_bytes()[:5000])
    main(["grafted", "0"])
    said = capsys.readouterr().err
    assert "checkpoint.pth is damaged; the training begins anew" in said and " 0/7" in said
    once = outputs()
    main(["grafted", "0"])
    assert outputs() == once


@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "iteration"),
    [("source_only", 6), ("daformer", 10), ("hrda", 8), ("mic", 5), ("mic_hrda", 9), ("supervised", 7)],
)
def test_a_killed_run_of_any_method_goes_on_to_the_same_bytes(
    root: Path, method: Name, iteration: int, capsys: pytest.CaptureFixture
):
    if method == "supervised":
        write_scenes(root, "oracle", 5, labelled=True)
    change: dict[str, Any] = {
        "method": method,
        "iterations": 12,
        "warmup": 3,
        "encoder": str(REPO / "models/miniature/encoder"),
    }
    change |= SURE["unet"]
    edit_params(root, lambda params: params["train"].update(change))
    killed(iteration)
    main(["grafted", "0"])
    resumed = outputs()
    assert " 0/12" not in capsys.readouterr().err  # it did not begin anew
    if METHODS[method].adapts:
        assert any(0 < q < 1 for q in qualities()[5:])
    main(["grafted", "0"])
    assert outputs() == resumed


@pytest.mark.parametrize("at", ["start", "end"])
def test_the_teacher_follows_the_student_in_a_training(root: Path, at: str):
    """At ema 0 it is the student at the end of an iteration, and one step behind it from the start."""
    edit_params(root, lambda params: params["train"].update(iterations=12, warmup=0, ema=0.0, ema_at=at))
    killed(5)
    (checkpoint,) = Path("data/.work").glob("*/*/checkpoint.pth")
    state = torch.load(checkpoint, weights_only=True)["state_dict"]
    weights = {name.removeprefix("student."): value for name, value in state.items() if name.startswith("student.")}
    distance = max(float((value - state[f"teacher.{name}"]).abs().max()) for name, value in weights.items())
    assert distance == 0 if at == "end" else 0 < distance < 0.02  # AdamW's steps are about lr = 0.012 long


def test_a_run_with_other_params_does_not_go_on_from_the_killed_one(root: Path):
    edit_params(root, lambda params: params["train"].update(iterations=12))
    killed()
    edit_params(root, lambda params: params["train"].update(iterations=8))
    main(["grafted", "0"])
    after_kill = outputs()
    main(["grafted", "0"])
    assert outputs() == after_kill
    assert len(after_kill[1].splitlines()) == 1 + 8
