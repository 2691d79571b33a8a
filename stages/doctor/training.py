"""A fixed training of ten iterations by the real stages, in a folder of its own, beside what was recorded of it."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

from stages.doctor.hardware import read, widest
from stages.parts.errors import GraftError
from stages.parts.store.fingerprint import ROOT
from stages.parts.store.keys import file_hash

HERE = Path(__file__).parent
RECORDED = HERE / "recorded.json"
STAGES = (("scenes",), ("cutouts", "baseline"), ("train", "baseline", "0"))


class Trained(NamedTuple):
    """sha256 of the file of weights, and the loss of each iteration."""

    weights: str
    losses: list[float]


def training() -> str:
    """Whether this machine trains to the recorded bytes; if not, from which iteration on and by how much not."""
    told = json.loads(RECORDED.read_text(encoding="utf-8"))
    recorded = Trained(told["weights"], told["losses"])
    try:
        with tempfile.TemporaryDirectory() as folder:
            return beside(train(Path(folder)), recorded, widest(read("/proc/cpuinfo")))
    except GraftError as error:
        return str(error)


def train(folder: Path) -> Trained:
    """Run the stages in an empty folder, on the CPU. GraftError with the last line of one that fails."""
    shutil.copyfile(HERE / "params.yaml", folder / "params.yaml")
    (folder / "models").mkdir()
    (folder / "models/miniature").symlink_to(ROOT / "models/miniature")
    env = os.environ | {"PYTHONPATH": str(ROOT), "CUDA_VISIBLE_DEVICES": ""}
    for words in STAGES:
        command = [sys.executable, "-m", f"stages.{words[0]}", *words[1:]]
        done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, errors="replace")
        if done.returncode:
            last = done.stderr.replace("\r", "\n").strip().splitlines()[-1:]
            raise GraftError(f"`{' '.join(command[1:])}` ended with {done.returncode}: {' '.join(last)}")
    with open(folder / "data/trained/baseline-0.csv", newline="", encoding="utf-8") as file:
        losses = [float(row["loss"]) for row in csv.DictReader(file)]
    return Trained(file_hash(folder / "models/segmenters/baseline-0.safetensors"), losses)


def beside(here: Trained, recorded: Trained, instructions: str | None) -> str:
    if here.weights == recorded.weights:
        return f"{len(here.losses)} iterations to the recorded bytes ({here.weights[:12]})"
    words = [f"other bytes than recorded: {here.weights[:12]}, not {recorded.weights[:12]}"]
    pairs = list(zip(here.losses, recorded.losses, strict=True))
    parted = next((number for number, (a, b) in enumerate(pairs, 1) if a != b), None)
    if parted is None:
        words.append("every loss is as recorded")
    else:
        away = max(abs(a - b) for a, b in pairs)
        words.append(f"losses differ from iteration {parted} on, by {away:.2g} at most")
    if instructions not in ("avx2", "avx512f"):
        words.append("recorded with AVX2, which this CPU has not: other bytes are to be expected here")
    return "\n".join(words)


def record() -> None:
    """Write down what this machine trains to."""
    with tempfile.TemporaryDirectory() as folder:
        RECORDED.write_text(json.dumps(train(Path(folder))._asdict()) + "\n", encoding="utf-8")
