"""The workers of spread.py: a thread of this process, processes of this machine, actors of a Ray cluster.

Every worker computes with the number of threads of this process: the way that a sum is split decides its rounding.
"""

from __future__ import annotations

import functools
import logging
import multiprocessing
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing.queues import Queue
from typing import Any, Protocol

from stages.parts.engine.params import Engine
from stages.parts.errors import GraftError
from stages.parts.machine import arithmetic

Work = Callable[[Any], Any]
Opener = Callable[[str], Work]
RESTARTS = 3  # of one Ray worker, before its death counts as the job's fault
PLACED = 60.0  # seconds until a Ray worker that the cluster has room for is surely started


class Pool(Protocol):
    size: int

    def submit(self, job: Any) -> Future[Any]:
        """Have a job done by a free worker, or queue it."""


@contextmanager
def pool(opener: Opener, engine: Engine, jobs: int) -> Iterator[Pool]:
    """The workers that `engine` asks for, at most one per job; gone when the context is left.

    GraftError when one died inside it, for good."""
    if engine.address is not None:
        with _cluster(opener, engine, jobs) as workers:
            yield workers
        return
    import torch

    gpus = torch.cuda.device_count()
    size = min(engine.workers or max(gpus, 1), jobs)
    devices = [f"cuda:{k % gpus}" if gpus else "cpu" for k in range(size)]
    made = _Thread(opener, devices[0]) if size == 1 else _Processes(opener, devices)
    try:
        yield made
    except BrokenProcessPool:
        raise GraftError(
            "a worker process was killed, perhaps for want of memory; what was finished is kept: lower "
            "engine.workers or the stage's batch in params.yaml, and run the same command again"
        ) from None
    finally:
        made.executor.shutdown()


class Worker:
    """Opened at its first job, so that what goes wrong then is raised like what goes wrong in a job."""

    def __init__(self, opener: Opener, device: str, threads: int, folder: str | None = None) -> None:
        self._opener, self._device, self._threads, self._folder = opener, device, threads, folder

    @functools.cached_property
    def _opened(self) -> Work:
        import torch

        if self._folder is not None:
            os.chdir(self._folder)
        torch.set_num_threads(self._threads)
        return self._opener(self._device)

    def work(self, job: Any) -> Any:
        return self._opened(job)


class _Local:
    """Workers of an executor; `work` is what each of them runs."""

    def __init__(self, executor: ThreadPoolExecutor | ProcessPoolExecutor, size: int, work: Work) -> None:
        self.executor, self.size, self._work = executor, size, work

    def submit(self, job: Any) -> Future[Any]:
        return self.executor.submit(self._work, job)


class _Thread(_Local):
    """One worker in this process."""

    def __init__(self, opener: Opener, device: str) -> None:
        super().__init__(ThreadPoolExecutor(1), 1, Worker(opener, device, _threads()).work)


class _Processes(_Local):
    """One process per entry of `devices`."""

    def __init__(self, opener: Opener, devices: list[str]) -> None:
        context = multiprocessing.get_context("spawn")  # CUDA and OpenMP do not survive a fork
        free: Queue[str] = context.Queue()
        for device in devices:
            free.put(device)
        executor = ProcessPoolExecutor(len(devices), context, _start_process, (opener, free, _threads()))
        super().__init__(executor, len(devices), _work_in_process)


_worker: Worker | None = None  # of a worker process


def _start_process(opener: Opener, free: Queue[str], threads: int) -> None:
    global _worker
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    threading.Thread(target=_go_with_parent, daemon=True).start()
    _worker = Worker(opener, free.get(), threads)


def _go_with_parent() -> None:
    """A killed parent closes no queue: without this its workers would wait for jobs, and hold their GPUs, for ever."""
    if (parent := multiprocessing.parent_process()) is not None:
        parent.join()
        os._exit(1)


def _work_in_process(job: Any) -> Any:
    assert _worker is not None
    return _worker.work(job)


def _threads() -> int:
    import torch

    return torch.get_num_threads()


class _Ray:
    """Actors of a Ray cluster. Ray itself starts a dead one again and repeats what it had not returned.

    One that finds no place is given up: it would hold its share of the jobs for ever. GraftError when none does."""

    def __init__(self, opener: Opener, asked: int, room: int, gpu: bool) -> None:
        import ray

        options: dict[str, Any] = {"num_gpus": 1} if gpu else {"num_cpus": 1}
        actor: Any = ray.remote(max_restarts=RESTARTS, max_task_retries=RESTARTS, **options)(Worker)
        here = (opener, "cuda" if gpu else "cpu", _threads(), os.getcwd())
        started = {each.__ray_ready__.remote(): each for each in [actor.remote(*here) for _ in range(min(asked, room))]}
        placed, homeless = ray.wait(list(started), num_returns=len(started), timeout=PLACED)
        for ready in homeless:
            ray.kill(started[ready])
        kind = "GPU" if gpu else "CPU core"
        if not placed:
            raise GraftError(
                f"params.yaml: engine.address names a cluster of which no {kind} was free for {PLACED:.0f} s; run the "
                "same command again when one is, or set it to null"
            )
        self.size = len(placed)
        if self.size < asked:
            print(f"engine.workers: {self.size}, not {asked}: the cluster has no more {kind}s free", file=sys.stderr)
        self._load = {started[ready]: 0 for ready in placed}

    def submit(self, job: Any) -> Future[Any]:
        worker = min(self._load, key=self._load.__getitem__)
        self._load[worker] += 1
        future: Future[Any] = worker.work.remote(job).future()
        future.add_done_callback(lambda _: self._load.update({worker: self._load[worker] - 1}))
        return future


def _reach(address: str) -> None:
    """OSError when nobody listens at host:port, which Ray itself notices only after minutes."""
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if colon and port.isdigit():
        socket.create_connection((host, int(port)), timeout=10).close()


@contextmanager
def _cluster(opener: Opener, engine: Engine, jobs: int) -> Iterator[Pool]:
    """Ray workers: as many as asked for, else one per GPU of the cluster, else one; no more than it has GPUs, or
    without any GPU CPU cores.

    Every node must see the repo and the model at the same path."""
    import ray
    from ray.exceptions import RayActorError, RayTaskError

    paths = os.pathsep.join(path or os.getcwd() for path in sys.path)
    here = {"PYTHONPATH": paths, "HF_HUB_OFFLINE": "1", **arithmetic(_threads())}
    own = engine.address == "local"
    cores = max(engine.workers or 1, os.cpu_count() or 1)
    options: dict[str, Any] = {"num_cpus": cores, "include_dashboard": False} if own else {}
    quiet: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False}
    try:
        _reach(str(engine.address))
        ray.init(address=engine.address, runtime_env={"env_vars": here}, **quiet, **options)
    except (OSError, ValueError, RuntimeError) as error:
        raise GraftError(
            f"params.yaml: engine.address {engine.address!r} is no Ray cluster that can be reached "
            f"({' '.join(str(error).split())[:200]}); start one (`ray start --head`), or set it to local or null"
        ) from None
    try:
        gpus = int(ray.cluster_resources().get("GPU", 0))
        cores = max(int(ray.cluster_resources().get("CPU", 0)), 1)
        yield _Ray(opener, min(engine.workers or max(gpus, 1), jobs), gpus or cores, gpu=gpus > 0)
    except RayTaskError as error:
        raise error.cause from None
    except RayActorError as error:
        raise GraftError(
            f"a Ray worker died more than {RESTARTS} times ({' '.join(str(error).split())[:200]}); what was "
            f"finished is kept: lower the stage's batch in params.yaml, and run the same command again"
        ) from None
    finally:
        ray.shutdown()
