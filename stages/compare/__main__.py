"""Compare methods, or settings of one method: one training and evaluation per cell and seed, then a table.

    python -m stages.compare methods --seeds 0 1 2
    python -m stages.compare ablation --method daformer --seeds 0 1 2 --jobs 2
    python -m stages.compare machines      # what `dvc repro` made here, beside what is locked
    python -m stages.compare experiments   # those of `dvc exp run`, what each changed, the best first
    python -m stages.compare systems       # the four published systems, beside their papers
    python -m stages.compare page          # data/report/index.html alone; systems ends with it
    python -m stages.compare by_hand       # results that no line makes again: is the code still what made them?

in      what the stages train and evaluate read: data/scenes, data/cutouts, models/miniature, params.yaml;
        systems: the lines' summaries in metrics; by_hand: metrics/by_hand.json and git
out     data/compare/CELL-SEED/ (a small line of its own: params.yaml, metrics, segmenter);
        metrics/compare/NAME.json, rewritten after every cell: base, novel and all mIoU per cell and seed;
        systems: metrics/{systems,gains}.json, the tables of README.md and lines/*/README.md,
        data/report/index.html with data/report/failures
cost    4 to 8 minutes of one core per cell and seed with the default params
expect  without cutouts novel mIoU 0; see lines/ucg
source  means and sample standard deviations over seeds; everything else as in train and evaluate

A finished cell is kept while its params, its inputs and the code stay the same, and a killed training goes on from its
checkpoint: run the same command again. The first seed is trained for all cells before the second.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from tqdm import tqdm

from stages.compare.by_hand import by_hand
from stages.compare.cells import COMPARED, Cell, ablation, methods
from stages.compare.experiments import experiments
from stages.compare.line_tables import write_readmes
from stages.compare.machines import differences
from stages.compare.measured import spread, write_measured
from stages.compare.systems import systems as rows_that_stand
from stages.compare.systems import write_systems
from stages.compare.trainings import MEANS, Result, run_cell
from stages.evaluate import params as evaluating
from stages.parts.command import command, seed
from stages.parts.errors import GraftError
from stages.parts.sections import read
from stages.parts.store import samples
from stages.parts.store.atomic import write_whole
from stages.parts.store.lock import alone
from stages.train import params as training


class Params(training.Params, evaluating.Params):
    """What the stages of a cell read."""


def systems() -> str:
    """The table of four systems, written wherever it stands, and the page."""
    table = write_systems()
    write_readmes()
    write_measured()
    return f"{table}\n\n{page()}"


def page() -> str:
    """The page of all lines, written; what to open."""
    from stages.compare.page import write_page  # here, for drawing takes seconds to load

    return f"open {write_page(rows_that_stand()[0])}"


Told = dict[str, dict[str, Result]]  # by the name of the cell and the seed
LOOKS = {"experiments": experiments, "systems": systems, "page": page, "by_hand": by_hand}  # they train nothing


@command
def main(argv: Sequence[str] | None = None) -> None:
    args = _arguments(argv)
    if args.what in LOOKS:
        print(LOOKS[args.what]())
        return
    if args.what == "machines":
        for path, words in differences(args.revision):
            print(f"{path:45} {words}", flush=True)
        return
    read(Params)
    if args.what == "methods":
        name, cells = "methods", methods()
    else:
        per_class = Counter(row["class"] for row in samples.Shards("data/cutouts/grafted").rows)
        name, cells = f"ablation-{args.method}", ablation(args.method, max(per_class.values(), default=0))
    told = Path(f"metrics/compare/{name}.json")
    with alone("data/compare"):  # both comparisons have cells of one name
        print(table(compare(cells, args.seeds, args.jobs, told, args.iterations, args.threads)))


def compare(
    cells: Sequence[Cell],
    seeds: Sequence[int],
    jobs: int,
    path: Path,
    iterations: int | None = None,
    threads: int | None = None,
) -> Told:
    """Run every cell and seed, `jobs` at a time; after each, what is known so far is in `path`, in the cells' order.

    Each trains in processes of its own: their number changes no result. The first failure keeps further ones from
    starting, and is raised as GraftError when those at work are done.
    """
    runs = [(cell, seed) for seed in dict.fromkeys(seeds) for cell in cells]
    done: dict[tuple[str, int], Result] = {}
    told: Told = {}
    with ThreadPoolExecutor(jobs) as pool:
        waiting = {pool.submit(run_cell, cell, seed, iterations, threads): (cell.name, seed) for cell, seed in runs}
        try:
            for run in tqdm(as_completed(waiting), total=len(waiting), desc="compare", unit="training"):
                done[waiting[run]] = run.result()
                told = {}
                for cell, seed in runs:
                    if (cell.name, seed) in done:
                        told.setdefault(cell.name, {})[str(seed)] = done[cell.name, seed]
                write_whole(path, json.dumps(told, indent=2) + "\n")
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return told


def table(told: Told) -> str:
    """Markdown: a row per cell, mean and sample standard deviation over its seeds (no deviation of one seed).

    A mean over classes of which none is in the truth is a dash.
    """
    head = "mIoU in %: mean ± sample standard deviation over the seeds"
    lines = [f"| {head} | base | novel | all | seeds |", "|---|---|---|---|---|"]
    for name, seeds in told.items():
        shown = [_shown([run[mean] for run in seeds.values() if run[mean] is not None]) for mean in MEANS]
        lines.append(f"| {name} | {' | '.join(shown)} | {len(seeds)} |")
    return "\n".join(lines)


def _shown(values: list[float]) -> str:
    return spread(values) if values else "–"


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m stages.compare",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("what", choices=("methods", "ablation", "machines", *LOOKS))
    parser.add_argument(
        "--method", choices=COMPARED, default="daformer", help="whose settings the ablation changes; default daformer"
    )
    parser.add_argument("--seeds", type=seed, nargs="+", default=[0], help="default 0")
    parser.add_argument("--iterations", type=int, help="instead of train.iterations: a shorter, weaker comparison")
    parser.add_argument("--jobs", type=int, default=1, help="trainings at a time")
    parser.add_argument("--threads", type=int, help="of each, instead of engine.threads")
    parser.add_argument("--revision", default="HEAD", help="machines: the commit whose dvc.lock to compare with")
    args = parser.parse_args(argv)
    if args.jobs < 1:
        raise GraftError(f"--jobs must be 1 or more (it is {args.jobs})")
    return args


if __name__ == "__main__":
    main()
