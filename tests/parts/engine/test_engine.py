"""The engine: the same results whoever does the work, one model per worker, and a death that is told or mended."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from stages.parts.engine import workers
from stages.parts.engine.params import Engine
from stages.parts.engine.spread import spread
from stages.parts.errors import GraftError

HERE = Engine(workers=1, address=None, threads=1)
THREADS = Engine(workers=None, address=None, threads=1)
PROCESSES = Engine(workers=2, address=None, threads=1)
RAY = Engine(workers=2, address="local", threads=1)


class Squares:
    """Opened, it notes so in a file, and squares numbers by a matrix product."""

    def __init__(self, folder: Path, fatal: int = -1) -> None:
        self.folder, self.fatal = folder, fatal

    def __call__(self, device: str) -> Callable[[int], tuple[int, float, int, int]]:
        (self.folder / f"opened-{os.getpid()}-{time.monotonic_ns()}").touch()

        def work(job: int) -> tuple[int, float, int, int]:
            time.sleep(0.02)
            if job == self.fatal and not (self.folder / "died").exists():
                (self.folder / "died").touch()
                os.kill(os.getpid(), signal.SIGKILL)
            if job == 99:
                raise GraftError("job 99 cannot be done")
            matrix = torch.arange(300 * 300.0).reshape(300, 300).div(7).sin() * job
            return job, float((matrix @ matrix).sum()), torch.get_num_threads(), os.getpid()

        return work


def results(folder: Path, engine: Engine, jobs: int = 9) -> list[tuple[int, float, int, int]]:
    return sorted(spread(Squares(folder), range(jobs), engine))


def test_one_worker_is_opened_once_and_does_every_job_once(tmp_path: Path) -> None:
    assert sorted(job for job, *_ in spread(Squares(tmp_path), range(9), THREADS)) == list(range(9))
    assert len(list(tmp_path.iterdir())) == 1


def test_no_jobs_open_no_worker(tmp_path: Path) -> None:
    assert list(spread(Squares(tmp_path), [], PROCESSES)) == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("engine", [PROCESSES, pytest.param(RAY, marks=pytest.mark.slow)], ids=["processes", "ray"])
def test_other_workers_give_the_same_with_as_many_threads(tmp_path: Path, engine: Engine) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "there").mkdir()
    own = torch.get_num_threads()
    torch.set_num_threads(own + 1)  # of no environment variable, so that it has to be handed on
    try:
        here, there = results(tmp_path / "here", HERE), results(tmp_path / "there", engine)
    finally:
        torch.set_num_threads(own)
    assert {threads for *_, threads, _ in there} == {own + 1}
    assert [row[:3] for row in there] == [row[:3] for row in here]
    assert os.getpid() not in {pid for *_, pid in there}
    assert len(list((tmp_path / "there").iterdir())) <= 2  # one opening per worker at most


@pytest.mark.parametrize("engine", [HERE, PROCESSES, pytest.param(RAY, marks=pytest.mark.slow)], ids=str)
def test_what_a_job_raises_is_raised_here(tmp_path: Path, engine: Engine) -> None:
    with pytest.raises(GraftError, match=r"^job 99 cannot be done$"):
        list(spread(Squares(tmp_path), [1, 99], engine))


@pytest.mark.parametrize("engine", [HERE, PROCESSES], ids=str)
def test_what_opening_a_worker_raises_is_raised_here(tmp_path: Path, engine: Engine) -> None:
    with pytest.raises(FileNotFoundError):
        list(spread(Squares(tmp_path / "nowhere"), [1, 2], engine))


def test_a_killed_process_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(GraftError, match=r"a worker process was killed.*what was finished is kept"):
        list(spread(Squares(tmp_path, fatal=3), range(9), PROCESSES))


@pytest.mark.slow
def test_a_killed_ray_worker_is_replaced_and_nothing_is_lost_or_done_twice(tmp_path: Path) -> None:
    found = list(spread(Squares(tmp_path, fatal=3), range(9), RAY))
    assert sorted(job for job, *_ in found) == list(range(9))
    assert (tmp_path / "died").exists()
    assert len(list(tmp_path.glob("opened-*"))) <= 3  # two workers, one of them twice


@pytest.mark.slow
def test_a_cluster_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(GraftError, match=r"engine.address '127.0.0.1:1' is no Ray cluster"):
        list(spread(Squares(tmp_path), [1], Engine(workers=1, address="127.0.0.1:1", threads=1)))


CLUSTER = """
import json, sys, time
import ray
from ray.cluster_utils import Cluster
cluster = Cluster(initialize_head=True, head_node_args=json.loads(sys.argv[1]))
cluster.connect()
held = json.loads(sys.argv[2])

class Held:
    pass

others = [ray.remote(**held)(Held).remote()] if held else []
ray.get([one.__ray_ready__.remote() for one in others])
print(cluster.address, flush=True)
sys.stdin.read()
ray.shutdown()
cluster.shutdown()
"""


@contextlib.contextmanager
def cluster(has: dict[str, int], held: dict[str, int]) -> Iterator[str]:
    """The address of a Ray cluster with so many "num_gpus" and "num_cpus", some of them held by another job."""
    process = subprocess.Popen(
        [sys.executable, "-c", CLUSTER, json.dumps(has), json.dumps(held)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        yield next(line.strip() for line in process.stdout if line.startswith(("127.", "1", "2")))
    finally:
        process.communicate("")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("has", "held", "said"),
    [
        ({"num_cpus": 2}, {}, "engine.workers: 2, not 6: the cluster has no more CPU cores free"),
        ({"num_cpus": 4, "num_gpus": 2}, {}, "engine.workers: 2, not 6: the cluster has no more GPUs free"),
        ({"num_cpus": 4, "num_gpus": 2}, {"num_gpus": 1}, "engine.workers: 1, not 6: the cluster has no more GPUs"),
        ({"num_cpus": 3}, {"num_cpus": 2}, "engine.workers: 1, not 6: the cluster has no more CPU cores free"),
    ],
)
def test_more_workers_than_a_cluster_has_room_for_are_capped_with_a_word(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], has: dict[str, int], held: dict[str, int], said: str
) -> None:
    with cluster(has, held) as address:
        found = results(tmp_path, Engine(workers=6, address=address, threads=1), jobs=20)
    assert [job for job, *_ in found] == list(range(20))
    assert said in capfd.readouterr().err


@pytest.mark.slow
def test_a_cluster_in_use_is_one_sentence_and_no_wait_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "PLACED", 5.0)
    with cluster({"num_cpus": 1}, {"num_cpus": 1}) as address, pytest.raises(GraftError, match=r"no CPU core was free"):
        list(spread(Squares(tmp_path), [1], Engine(workers=1, address=address, threads=1)))


def test_a_reader_who_stops_early_leaves_no_worker_behind(tmp_path: Path) -> None:
    found = spread(Squares(tmp_path), range(100), PROCESSES)
    *_, pid = next(iter(found))
    found.close()  # type: ignore[attr-defined]
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


KILLED = """
import sys
from pathlib import Path
from stages.parts.engine.spread import spread
from tests.parts.engine.test_engine import PROCESSES, Squares
if __name__ == "__main__":
    list(spread(Squares(Path(sys.argv[1])), range(100_000), PROCESSES))
"""


def alive(pid: int) -> bool:
    """A zombie, whose parent has not looked yet, is dead."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_killed_run_leaves_no_worker_behind(tmp_path: Path) -> None:
    (tmp_path / "run.py").write_text(KILLED)
    root = Path(__file__).parents[3]
    run = subprocess.Popen(
        [sys.executable, tmp_path / "run.py", tmp_path], env=os.environ | {"PYTHONPATH": str(root)}, cwd=root
    )
    try:
        deadline = time.monotonic() + 60
        while len(opened := [int(path.name.split("-")[1]) for path in tmp_path.glob("opened-*")]) < 2:
            assert run.poll() is None and time.monotonic() < deadline
            time.sleep(0.05)
        assert all(map(alive, opened))
    finally:
        run.kill()
        run.wait()
    deadline = time.monotonic() + 30
    while any(map(alive, opened)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not [pid for pid in opened if alive(pid)]
