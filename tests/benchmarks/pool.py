"""Commands that need one another, so many at a time: each starts once those that it needs have ended well."""

from __future__ import annotations

import subprocess
from collections.abc import Collection, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm


@dataclass(frozen=True)
class Job:
    """argv runs in `folder` once the jobs named in `needs` have ended with 0; what it says goes to folder/logs/NAME."""

    name: str
    folder: Path
    argv: Sequence[str]
    needs: Collection[str] = ()


def run_jobs(jobs: Sequence[Job], slots: int) -> list[str]:
    """Run them all, `slots` at a time, the first listed first; the names of those that failed or were never started."""
    waiting, done, running = list(jobs), set[str](), dict[Future[int], Job]()
    failed: list[str] = []
    with ThreadPoolExecutor(slots) as pool, tqdm(total=len(jobs), unit="job") as bar:
        while waiting or running:
            for job in [job for job in waiting if done.issuperset(job.needs)][: slots - len(running)]:
                waiting.remove(job)
                running[pool.submit(_run, job)] = job
            if not running:
                break  # what is left needs what failed
            for ended in wait(running, return_when=FIRST_COMPLETED).done:
                job = running.pop(ended)
                (failed.append if ended.result() else done.add)(job.name)
                bar.update()
    return failed + [job.name for job in waiting]


def _run(job: Job) -> int:
    log = job.folder / "logs" / job.name.replace("/", "-").replace(" ", "_")
    log.parent.mkdir(parents=True, exist_ok=True)
    with open(log, "w", encoding="utf-8") as out:
        return subprocess.run(job.argv, cwd=job.folder, stdout=out, stderr=subprocess.STDOUT).returncode
