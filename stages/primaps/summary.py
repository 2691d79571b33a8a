"""summary: mean and standard deviation over the seeds, of test.

in       metrics/primaps/sets/SET.json of every set of params.yaml, and its seeds
out      metrics/primaps/summary.json: set -> row -> mIoU and Acc, each mean and std, in percent
         metrics/primaps/iou.csv: set, row, class, mean IoU, of test
command  python -m stages.primaps.summary       prints the table
cost     none
expect   streets: em 8 to 9 mIoU above baseline on val
source   the tables of Hahn et al., TMLR 2024, section 4; there without a deviation

std is that of the sample, 0 for one seed. val is in the sets' files: it was chosen on.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from stages.parts.command import command
from stages.parts.errors import GraftError
from stages.parts.sections import read
from stages.parts.store.atomic import write_csv, write_whole
from stages.primaps.params import Params

METRICS = Path("metrics/primaps")


@command
def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m stages.primaps.summary",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.parse_args(argv)
    primaps = read(Params).primaps
    cells = {name: [test_of(name, seed) for seed in primaps.seeds] for name in primaps.sets}
    summary = {name: summarised(runs) for name, runs in cells.items()}
    write_whole(METRICS / "summary.json", json.dumps(summary, indent=1) + "\n")
    lines = [
        (name, row, kind, f"{statistics.fmean(run[row]['IoU'][kind] for run in runs):.2f}")
        for name, runs in cells.items()
        for row in runs[0]
        for kind in runs[0][row]["IoU"]
    ]
    write_csv(METRICS / "iou.csv", ("set", "row", "class", "IoU"), lines)
    print(table(summary))


def test_of(name: str, seed: int) -> dict[str, Any]:
    """What evaluate found on test. GraftError when it is missing."""
    path = METRICS / "sets" / f"{name}.json"
    found = json.loads(path.read_text())["test"] if path.is_file() else {}
    if str(seed) not in found:
        raise GraftError(f"{path} has no seed {seed}; run `python -m stages.primaps.evaluate {name}` or `dvc repro`")
    return found[str(seed)]


def summarised(runs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """row -> mIoU and Acc -> mean and std over the runs."""
    return {row: {score: spread([run[row][score] for run in runs]) for score in ("mIoU", "Acc")} for row in runs[0]}


def spread(values: Sequence[float]) -> dict[str, float]:
    """Mean and standard deviation of the sample, 0 of one value."""
    std = statistics.stdev(values) if len(values) > 1 else 0.0
    return {"mean": round(statistics.fmean(values), 2), "std": round(std, 2)}


def table(summary: dict[str, Any]) -> str:
    """Markdown: a line for each row of each set."""
    lines = ["| set | row | mIoU | Acc |", "|---|---|---|---|"]
    for name, rows in summary.items():
        for row, found in rows.items():
            cells = [f"{found[score]['mean']:.1f} ± {found[score]['std']:.1f}" for score in ("mIoU", "Acc")]
            lines.append(f"| {name} | {row} | {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
