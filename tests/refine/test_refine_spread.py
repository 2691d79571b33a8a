"""refine over the engine: the same bytes on any workers, and a killed one loses nothing that was finished."""

from __future__ import annotations

import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from stages.parts.store.samples import Sample, build, npy_bytes, png_bytes
from tests.refine.test_refine_stage import attribution, contents, picture, place

__all__ = ["place"]  # a fixture: tests ask for it by name

ROOT = Path(__file__).parents[2]
COUNT = 24
ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}


def set_engine(folder: Path, **engine: Any) -> None:
    yaml = YAML(typ="safe", pure=True)
    params = yaml.load((folder / "params.yaml").read_text())
    params["engine"] = {"workers": None, "address": None, "threads": 1} | engine
    with open(folder / "params.yaml", "w") as file:
        yaml.dump(params, file)


@pytest.fixture
def project(place: Callable[..., Path]) -> Path:
    """COUNT drawings, two of them without use, refined in blocks of two."""

    def make(uids: list[str]) -> list[Sample]:
        made = []
        for k, uid in enumerate(uids):
            heat = attribution(0.0 if k == 5 else 1.0 + k)
            row = {"rejected": "constant" if k == 8 else ""}
            made.append(Sample(uid, "k", row, {"image.png": png_bytes(picture(k)), "attribution.npy": npy_bytes(heat)}))
        return made

    folder = place("a", batch=2)
    shutil.rmtree(folder / "data/generated/bus")
    wanted = dict.fromkeys((f"bus-{k:06d}" for k in range(COUNT)), "k")
    build(folder / "data/generated/bus", wanted, make, title="generate bus")
    return folder


def start(folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "stages.refine", "bus"], cwd=folder, env=ENVIRONMENT, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def refined(folder: Path, **engine: Any) -> dict[str, bytes]:
    """What a run from nothing with this engine leaves."""
    shutil.rmtree(folder / "data/refined", ignore_errors=True)
    set_engine(folder, **engine)
    process = start(folder)
    _, errors = process.communicate()
    assert process.returncode == 0, errors
    return contents(folder / "data/refined")


def test_two_processes_give_the_bytes_of_one_worker(project: Path) -> None:
    assert refined(project, workers=2) == refined(project)


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_ray_gives_the_bytes_of_one_worker(project: Path, workers: int) -> None:
    assert refined(project, workers=workers, address="local") == refined(project)


def children(pid: int) -> list[int]:
    """The worker processes of a run."""
    found = []
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in map(int, path.read_text().split()):
            if "spawn_main" in Path(f"/proc/{child}/cmdline").read_text():
                found.append(child)
    return found


@pytest.mark.slow
def test_ten_killed_workers_lose_nothing(project: Path) -> None:
    """Each time one of two processes is killed while samples come in: a sentence, and the next run goes on."""
    whole = refined(project)
    shutil.rmtree(project / "data/refined")
    set_engine(project, workers=2)
    partial, choice, kept, killed = project / "data/refined/bus/.partial", random.Random(0), 0, 0
    for _ in range(10):
        process = start(project)
        while process.poll() is None and len(list(partial.glob("*.tar"))) <= kept:
            time.sleep(0.002)
        if process.poll() is None and (workers := children(process.pid)):
            os.kill(choice.choice(workers), signal.SIGKILL)
        out, errors = process.communicate()
        killed += process.returncode == 2
        assert process.returncode == 0 or "error: a worker process was killed" in errors.splitlines()[-1], errors
        found = COUNT if process.returncode == 0 else len(list(partial.glob("*.tar")))
        assert found >= kept
        if process.returncode == 0:
            assert int(re.findall(r"kept (\d+)", out)[0]) >= min(kept, COUNT)
        kept = found if process.returncode else 0
        if process.returncode == 0:
            assert contents(project / "data/refined") == whole
            shutil.rmtree(project / "data/refined")
    assert killed >= 5
    process = start(project)
    out, errors = process.communicate()
    assert f"kept {kept}, made {COUNT - kept}" in out, errors
    assert contents(project / "data/refined") == whole


@pytest.mark.slow
def test_ten_killed_ray_workers_change_nothing(project: Path) -> None:
    """Ray starts a killed one again: the run itself ends well, to the same bytes."""
    whole = refined(project)
    set_engine(project, workers=2, address="local")
    killed = 0
    for round in range(10):
        shutil.rmtree(project / "data/refined", ignore_errors=True)
        partial, process = project / "data/refined/bus/.partial", start(project)
        while process.poll() is None and len(list(partial.glob("*.tar"))) <= round % 4:
            time.sleep(0.002)
        if process.poll() is None and (workers := ray_workers(process.pid)):
            os.kill(workers[round % len(workers)], signal.SIGKILL)
            killed += 1
        _, errors = process.communicate()
        assert process.returncode == 0, errors
        assert contents(project / "data/refined") == whole
    assert killed >= 5


def ray_workers(pid: int) -> list[int]:
    """The actors that a run started on its own Ray: Ray names a process by what it does."""
    family, found = [pid], []
    while family:
        for path in Path(f"/proc/{family.pop()}/task").glob("*/children"):
            family += map(int, path.read_text().split())
        for child in family:
            try:
                name = Path(f"/proc/{child}/cmdline").read_text()
            except (FileNotFoundError, ProcessLookupError):
                continue
            if name.startswith("ray::Worker") and child not in found:
                found.append(child)
    return found
