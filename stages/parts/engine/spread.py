"""Spread jobs over workers: one in this process, one process per GPU, or a Ray cluster. The results are the same.

A worker is opened once (it loads its model) and then called with one job after the other. Two jobs per worker are
under way at any time, so that none waits while this process encodes and writes what came back.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, wait
from itertools import islice
from typing import Any

from stages.parts.engine.params import Engine
from stages.parts.engine.workers import Opener, pool

AHEAD = 2  # jobs per worker that are under way


def spread(opener: Opener, jobs: Sequence[Any], engine: Engine) -> Iterator[Any]:
    """The result of every job, as it is done: in any order.

    `opener(device)` gives the function that does a job; opener, jobs and results must be picklable. An exception
    in a job is raised here. A worker that dies on a Ray cluster is started again and its jobs are repeated there;
    on this machine its death is a GraftError. No worker is opened for no jobs."""
    if not jobs:
        return
    with pool(opener, engine, len(jobs)) as workers:
        queue = iter(jobs)
        waiting = {workers.submit(job) for job in islice(queue, AHEAD * workers.size)}
        try:
            while waiting:
                done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                waiting |= {workers.submit(job) for job in islice(queue, len(done))}
                for future in done:
                    yield future.result()
        finally:
            for future in waiting:
                future.cancel()
