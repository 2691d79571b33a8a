"""Two processes over gloo, as torchrun starts them: equal to each other, and to one process with the joint batch."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from conftest import edit_params
from safetensors.torch import load_file

from stages.train.distributed import launch, share

REPO = Path(__file__).parents[2]

# The stage's own main; after the third iteration every rank writes what its student weighs.
RANK = """
import os, sys, torch
import stages.train.__main__ as train

class Write(train.Checkpoint):
    def after_train_iter(self, runner, *arguments, **named):
        model = getattr(runner.model, "module", runner.model)
        torch.save(model.student.state_dict(), f"rank{os.environ['RANK']}-{runner.iter}.pt")

train.Checkpoint = Write
train.main(["grafted", "0"])
"""


def processes(count: int, script: Path) -> None:
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", str(count), "--standalone"]
    env = os.environ | {"PYTHONPATH": str(REPO), "OMP_NUM_THREADS": "1"}
    done = subprocess.run([*command, str(script)], env=env, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-3000:]


MEETING = """
import itertools, json, os
from pathlib import Path
from mmengine import dist
from mmengine.dataset import InfiniteSampler
from stages.train.distributed import launch, share

launcher = launch()["launcher"]
draws = list(itertools.islice(InfiniteSampler(range(20), shuffle=False), 6))
told = {"launcher": launcher, "world": dist.get_world_size(), "main": dist.is_main_process(), "share": share(4)}
Path(f"rank{os.environ['RANK']}.json").write_text(json.dumps(told | {"draws": draws}))
"""


def test_ranks_know_of_each_other_before_the_batch_is_shared(tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    script = tmp_path / "meeting.py"
    script.write_text(MEETING)
    processes(2, script)
    told = [json.loads(Path(f"rank{rank}.json").read_text()) for rank in range(2)]
    assert [(one["launcher"], one["world"], one["share"]) for one in told] == [("pytorch", 2, 2)] * 2
    assert [one["main"] for one in told] == [True, False]
    assert sorted(told[0]["draws"] + told[1]["draws"]) == list(range(12))  # no image twice


def test_without_torchrun_nothing_is_launched(monkeypatch):
    monkeypatch.delenv("RANK", raising=False)
    assert launch() == {"launcher": "none"}
    assert share(3) == 3


@pytest.mark.slow
@pytest.mark.parametrize("method", ["dacs", "mic"])
def test_two_ranks_are_equal_and_are_as_one_with_the_joint_batch(world: Path, method: str, tmp_path: Path, monkeypatch):
    monkeypatch.chdir(world)
    encoder = str(REPO / "models/miniature/encoder")
    edit_params(world, lambda p: p["train"].update(method=method, encoder=encoder, iterations=3, batch=4, lr=1e-4))
    script = tmp_path / "rank.py"
    script.write_text(RANK)
    processes(1, script)
    alone = torch.load("rank0-2.pt", weights_only=True)
    saved = load_file("models/segmenters/grafted-0.safetensors")
    processes(2, script)
    ranks = [torch.load(f"rank{rank}-2.pt", weights_only=True) for rank in range(2)]
    assert all(torch.equal(ranks[0][name], ranks[1][name]) for name in alone)
    assert all(torch.equal(alone[name], saved[name]) for name in alone)
    # AdamW's first steps are lr long whatever the gradient: where it is all rounding, they may go either way.
    distance = max(float((ranks[0][name] - alone[name]).abs().max()) for name in alone)
    moved = torch.cat([(ranks[0][name] - alone[name]).abs().flatten() for name in alone])
    assert distance <= 6e-4
    assert (moved < 1e-5).float().mean() > 0.99


@pytest.mark.slow
def test_a_batch_that_cannot_be_shared_is_one_sentence(world: Path, tmp_path: Path, monkeypatch):
    monkeypatch.chdir(world)
    edit_params(world, lambda p: p["train"].update(batch=3))
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone"]
    env = os.environ | {"PYTHONPATH": str(REPO), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*command, "-m", "stages.train", "grafted", "0"], env=env, capture_output=True, text=True, timeout=600
    )
    assert done.returncode
    assert "train.batch 3 cannot be shared among 2 processes" in done.stderr
