"""Compare methods, or settings of one method: one training and evaluation per cell and seed, then a table.

    python -m stages.compare methods --seeds 0 1 2
    python -m stages.compare ablation --method daformer --seeds 0 1 2 --jobs 2
    python -m stages.compare machines      # what `dvc repro` made here, beside what is locked
    python -m stages.compare experiments   # those of `dvc exp run`, what each changed, the best first

in      what the stages train and evaluate read: data/scenes, data/cutouts, models/miniature, params.yaml
out     data/compare/CELL-SEED/ (a small line of its own: params.yaml, metrics, segmenter);
        metrics/compare/NAME.json, rewritten after every cell: base, novel and all mIoU per cell and seed
cost    4 to 8 minutes of one core per cell and seed with the default params
expect  without cutouts novel mIoU 0; see README
source  means and sample standard deviations over seeds; everything else as in train and evaluate

A finished cell is kept while its params, its inputs and the code stay the same, and a killed training goes on from its
checkpoint: run the same command again. The first seed is trained for all cells before the second.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import numpy as np
from ruamel.yaml import YAML
from tqdm import tqdm

from stages.compare.cells import COMPARED, Cell, ablation, methods
from stages.compare.experiments import experiments
from stages.compare.machines import differences
from stages.evaluate import params as evaluating
from stages.parts.command import command, seed
from stages.parts.datasets.labels import LABELS
from stages.parts.errors import GraftError
from stages.parts.preset import overlay
from stages.parts.pretrained.weights import find_encoder
from stages.parts.sections import read
from stages.parts.store import samples
from stages.parts.store.atomic import write_whole
from stages.parts.store.fingerprint import fingerprint
from stages.parts.store.lock import alone
from stages.train import params as training

MEANS = ("base_mIoU", "novel_mIoU", "mIoU")
LINKED = ("data/scenes", "models/miniature")


class Params(training.Params, evaluating.Params):
    """What the stages of a cell read."""


Result = dict[str, Any]  # the three means, and "IoU" of each class
Told = dict[str, dict[str, Result]]  # by the name of the cell and the seed


@command
def main(argv: Sequence[str] | None = None) -> None:
    args = _arguments(argv)
    if args.what == "experiments":
        print(experiments())
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
        waiting = {pool.submit(_run, cell, seed, iterations, threads): (cell.name, seed) for cell, seed in runs}
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
    if not values:
        return "–"
    return f"{np.mean(values):.1f}" + (f" ± {np.std(values, ddof=1):.1f}" if len(values) > 1 else "")


def _run(cell: Cell, seed: int, iterations: int | None, threads: int | None) -> Result:
    """The three means of one cell and seed: read, if it is finished and nothing changed, else trained."""
    folder = Path("data/compare", re.sub(r"[^a-z0-9.]+", "-", f"{cell.name} {seed}"))
    result = folder / f"data/evaluated/{cell.recipe}-{seed}/scores.json"
    settings = _params(cell, iterations, threads)
    encoder, revision = settings["train"]["encoder"], settings["train"]["encoder_revision"]
    key = samples.key(
        params={name: settings[name] for name in ("classes", "train", "evaluate", "engine")},
        labels=LABELS.names,
        most=cell.most,
        encoder=samples.file_hash(find_encoder(encoder, revision)) if encoder else None,
        inputs=[samples.file_hash(path) for path in (*_scenes(settings), Path("data/cutouts", cell.recipe))],
        code=fingerprint("stages.train.__main__", "stages.evaluate.__main__"),
    )
    marker = folder / "key"
    if not marker.is_file() or marker.read_text() != key:
        shutil.rmtree(folder, ignore_errors=True)
        _lay_out(folder, cell, settings)
        marker.write_text(key)
    if not result.is_file():
        for stage in ("train", "evaluate"):
            _stage(folder, stage, cell.recipe, str(seed))
    measured = json.loads(result.read_text())["val"]  # a comparison is a choice
    return {mean: measured[mean] for mean in MEANS} | {"IoU": measured["IoU"]}


def _scenes(settings: dict) -> list[Path]:
    """The splits that a training and its evaluation read."""
    supervised = settings["train"]["method"] == "supervised"
    return [
        Path("data/scenes", split) for split in (("oracle",) if supervised else ("source", "target")) + ("val", "test")
    ]


def _params(cell: Cell, iterations: int | None = None, threads: int | None = None) -> dict:
    content = YAML(typ="safe", pure=True).load(Path("params.yaml").read_text())
    overlay(content["train"], cell.changes)
    if iterations is not None:
        content["train"]["iterations"] = iterations
    if threads is not None:
        content["engine"]["threads"] = threads
    return content


def _lay_out(folder: Path, cell: Cell, settings: dict) -> None:
    folder.mkdir(parents=True)
    if (encoder := settings["train"]["encoder"]) and settings["train"]["encoder_revision"] is None:
        settings = settings | {"train": settings["train"] | {"encoder": str(Path(encoder).absolute())}}
    YAML(pure=True).dump(settings, folder / "params.yaml")
    for name in LINKED:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).symlink_to(Path(name).absolute(), target_is_directory=True)
    bank = samples.Shards(Path("data/cutouts", cell.recipe))
    counts: dict[str, int] = {}
    kept = {}
    for row in bank.rows:
        counts[row["class"]] = counts.get(row["class"], 0) + 1
        if cell.most is None or counts[row["class"]] <= cell.most:
            kept[row["uid"]] = row
    samples.build(
        folder / "data/cutouts" / cell.recipe,
        {uid: row["key"] for uid, row in kept.items()},
        lambda uids: (_copy(bank, kept[uid]) for uid in uids),
        title=f"cutouts of {cell.name}",
    )


def _copy(bank: samples.Shards, row: dict) -> samples.Sample:
    own = {name: value for name, value in row.items() if name not in ("uid", "key", "sha256", "shard")}
    return samples.Sample(row["uid"], row["key"], own, bank.read(row["uid"]))


def _stage(folder: Path, stage: str, *arguments: str) -> None:
    """Run a stage in the cell's folder. GraftError with its last line when it fails."""
    root = Path(__file__).parents[2]
    env = os.environ | {"PYTHONPATH": os.pathsep.join([str(root), os.environ.get("PYTHONPATH", "")])}
    command = [sys.executable, "-m", f"stages.{stage}", *arguments]
    with (folder / f"{stage}.log").open("w") as log:
        done = subprocess.run(command, cwd=folder, env=env, stdout=log, stderr=subprocess.STDOUT, check=False)
    if done.returncode:
        last = (folder / f"{stage}.log").read_text().replace("\r", "\n").strip().splitlines()[-1:]
        raise GraftError(f"{folder}: {' '.join(command[1:])} failed: {' '.join(last)}; see {stage}.log there")


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m stages.compare",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("what", choices=("methods", "ablation", "machines", "experiments"))
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
