"""doctor: one page about this machine and this clone, to be pasted into a report of a fault.

in       requirements.txt, params.yaml, what DVC and git say of this clone; recorded.json beside this file
out      nothing but the page on stdout, with no path below the home folder in it
command  python -m stages.doctor        or make doctor
cost     half a minute on two cores: ten iterations of a training are run in a folder of their own
expect   "as locked", "up to date" and "the recorded bytes"; a CPU without AVX2 may compute others, and the page says so
source   ours
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence

from stages.doctor.clone import disk, packages, said_by_dvc, said_by_git
from stages.doctor.hardware import cpu, gpus, memory, system, torch_computes_with
from stages.doctor.private import without_paths
from stages.doctor.training import record, training
from stages.parts.command import command

PAGE: dict[str, Callable[[], str]] = {
    "system": system,
    "cpu": cpu,
    "memory": memory,
    "torch": torch_computes_with,
    "gpu": gpus,
    "packages": packages,
    "disk": disk,
    "git": said_by_git,
    "dvc doctor": lambda: said_by_dvc("doctor"),
    "dvc status": lambda: said_by_dvc("status"),
    "training": training,
}


@command
def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m stages.doctor", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--record", action="store_true", help="for maintainers, after a change that is meant to train to other bytes: "
        "write recorded.json anew"
    )  # fmt: skip
    if parser.parse_args(argv).record:
        record()
        return
    for name, look in PAGE.items():
        lines = without_paths(look()).splitlines() or ["nothing"]
        print(f"{name + ':':12} {lines[0]}", *(f"{'':12} {line}" for line in lines[1:]), sep="\n", flush=True)


if __name__ == "__main__":
    main()
