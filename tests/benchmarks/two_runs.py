"""Pairs of simultaneous runs of one stage in one folder: each ends well or in one sentence, and the bytes are right.

    python -m tests.benchmarks.two_runs [--pairs 40] [--latest 1.5] STAGE ARGUMENT...      e.g. generate truck

in      the repo's params.yaml and data, as `dvc pull` leaves them; data/ is copied to a temporary folder first
out     a line per pair; exit status 1 if one of them ended otherwise
cost    two runs a pair
expect  every pair: 0 and 0, or 0 and 2 with the sentence of the lock
source  ours; the second run of a pair starts 0 to `latest` seconds after the first
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
SENTENCE = "is being written by process"


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=40)
    parser.add_argument("--latest", type=float, default=1.5)
    parser.add_argument("--out", type=Path, help="what the stage writes; default: data/STAGEd/ARGUMENT")
    parser.add_argument("stage")
    parser.add_argument("arguments", nargs="*")
    args = parser.parse_args()
    out = args.out or Path(f"data/{args.stage.removesuffix('e')}ed", *args.arguments)
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary)
        for name in ("params.yaml", "models"):
            (place / name).symlink_to(ROOT / name)
        shutil.copytree(ROOT / "data", place / "data", ignore=shutil.ignore_patterns("store", ".work", "published"))
        command = [sys.executable, "-m", f"stages.{args.stage}", *args.arguments]

        def start() -> subprocess.Popen[str]:
            env = os.environ | {"PYTHONPATH": str(ROOT)}
            return subprocess.Popen(
                command, cwd=place, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
            )

        def fresh() -> None:
            shutil.rmtree(place / out, ignore_errors=True)

        fresh()
        assert start().wait() == 0
        whole, bad, refused = content(place / out), 0, 0
        for pair in range(args.pairs):
            fresh()
            wait = args.latest * pair / max(args.pairs - 1, 1)
            first = start()
            time.sleep(wait)
            second = start()
            ends = [(process.communicate()[1], process.returncode) for process in (first, second)]
            fine = [
                code == 0 or (code == 2 and errors.count("error:") == 1 and SENTENCE in errors) for errors, code in ends
            ]
            right = content(place / out) == whole
            refused += sum(code == 2 for _, code in ends)
            bad += not (all(fine) and right and 0 in [code for _, code in ends])
            print(f"{pair}: {wait:.2f} s apart, ended {[code for _, code in ends]}, bytes right: {right}", flush=True)
            for (errors, _), good in zip(ends, fine, strict=True):
                if not good:
                    print(errors[-500:])
        print(f"{args.pairs - bad} of {args.pairs} pairs well, {refused} runs refused with the sentence")
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main())
