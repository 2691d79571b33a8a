"""Two processes over gloo, as torchrun starts them: equal to each other, and to one process with the joint batch."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from stages.parts.learning.distributed import launch, share
from tests.train.conftest import edit_params

REPO = Path(__file__).parents[2]

# The stage's own main; after the third iteration every rank writes what its networks weigh, and the q that it saw.
RANK = """
import os, sys, torch
from stages.parts.learning import fit
from stages.train.__main__ import main

class Write(fit.Checkpoint):
    seen = []
    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self.seen.append(outputs["mix.quality"].item())
        model = getattr(runner.model, "module", runner.model)
        parts = {name: dict(getattr(model, name).named_parameters()) for name in ("student", "teacher")}
        state = {f"{part}.{name}": value.detach() for part in parts for name, value in parts[part].items()}
        torch.save({"state": state, "quality": self.seen}, f"rank{os.environ['RANK']}-{runner.iter}.pt")

fit.Checkpoint = Write
main(["grafted", "0"])
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
from stages.parts.learning.distributed import launch, share

launcher = launch()["launcher"]
draws = list(itertools.islice(InfiniteSampler(range(20), shuffle=False), 6))
told = {"launcher": launcher, "world": dist.get_world_size(), "main": dist.is_main_process(), "draws": draws}
Path(f"rank{os.environ['RANK']}.json").write_text(json.dumps(told | {"share": share(4, "train")}))
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


MEANS = """
import json, os
from pathlib import Path
import torch
from stages.parts.learning.distance import feature_distance
from stages.parts.learning.distributed import launch
from stages.parts.learning.hooks import _mean_of_ranks
from stages.parts.learning.pseudo_labels import batch_classes, pseudo_label

launch()
rank = int(os.environ["RANK"])
logits = torch.zeros(1, 2, 1, 4)
logits[0, 0, 0, : 1 + 2 * rank] = 9.0  # one of four pixels is sure on the first rank, three on the second
cells = torch.tensor([[[True, rank == 1, rank == 1]]])
known = torch.full((1, 1, 1, 3), 2.0 * (1 + rank))  # 2 in one cell, and 4 in three
told = [pseudo_label(logits, 0.9)[1], feature_distance(torch.zeros(1, 1, 1, 3), known, cells), torch.tensor(rank + 1.0)]
told[2] = torch.tensor(_mean_of_ranks(told[2]))
classes = batch_classes(torch.tensor([[[3, 3 + rank, 255]]])).tolist()
Path(f"rank{rank}.json").write_text(json.dumps([*(value.item() for value in told), classes]))
"""


def test_a_mean_over_the_batch_is_one_over_all_ranks(tmp_path: Path, monkeypatch):
    """DDP takes the mean of the ranks' gradients: with it they are those of the joint batch."""
    monkeypatch.chdir(tmp_path)
    script = tmp_path / "means.py"
    script.write_text(MEANS)
    processes(2, script)
    first, second = (json.loads(Path(f"rank{rank}.json").read_text()) for rank in range(2))
    assert first[0] == second[0] == 4 / 8
    assert (first[1] + second[1]) / 2 == pytest.approx((2 + 3 * 4) / 4)
    assert first[2] == second[2] == 1.5
    assert first[3] == second[3] == [3, 4, 255]


def test_without_torchrun_nothing_is_launched(monkeypatch):
    monkeypatch.delenv("RANK", raising=False)
    assert launch() == {"launcher": "none"}
    assert share(3, "train") == 3


def states(count: int) -> tuple[list[dict[str, torch.Tensor]], list[list[float]]]:
    """The state and the qualities that each rank wrote."""
    told = [torch.load(f"rank{rank}-2.pt", weights_only=True) for rank in range(count)]
    return [one["state"] for one in told], [one["quality"] for one in told]


@pytest.mark.slow
@pytest.mark.parametrize(("method", "per"), [("dacs", "batch"), ("mic", "batch"), ("dacs", "image")])
def test_two_ranks_are_equal_and_are_as_one_with_the_joint_batch(
    world: Path, method: str, per: str, tmp_path: Path, monkeypatch
):
    monkeypatch.chdir(world)
    change = {"method": method, "encoder": str(REPO / "models/miniature/encoder"), "iterations": 3, "batch": 4}
    change |= {"lr": 1e-4, "pseudo_threshold": 0.058, "quality_per": per}  # 1 / 19 = 0.053: it is hardly sure yet
    edit_params(world, lambda p: p["train"].update(change))
    script = tmp_path / "rank.py"
    script.write_text(RANK)
    processes(1, script)
    (alone,), (quality,) = states(1)
    saved = load_file("models/segmenters/grafted-0.safetensors")
    processes(2, script)
    ranks, qualities = states(2)
    assert all(0 < q < 1 for q in quality)  # pseudo-labels count, and not all of them
    assert (qualities[0] == qualities[1]) == (per == "batch")  # of each image: other images on each rank
    assert [sum(pair) / 2 for pair in zip(*qualities, strict=True)] == pytest.approx(quality, abs=2e-3)
    assert all(torch.equal(ranks[0][name], ranks[1][name]) for name in alone)
    assert all(torch.equal(alone[f"student.{name}"], saved[name]) for name in saved)
    # AdamW's first steps are lr long whatever the gradient: where it is all rounding, they may go either way.
    distance = max(float((ranks[0][name] - alone[name]).abs().max()) for name in alone)
    moved = torch.cat([(ranks[0][name] - alone[name]).abs().flatten() for name in alone])
    assert distance <= 6e-4
    assert (moved < 1e-5).float().mean() > 0.99


@pytest.mark.slow
def test_two_ranks_are_equal_with_batch_norm_too(world: Path, tmp_path: Path, monkeypatch):
    monkeypatch.chdir(world)
    edit_params(world, lambda p: p["train"].update(model="segformer-b0", iterations=3, batch=4, pseudo_threshold=0.2))
    script = tmp_path / "rank.py"
    script.write_text(RANK)
    processes(2, script)
    (first, second), _ = states(2)
    assert all(torch.equal(first[name], second[name]) for name in first)


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
