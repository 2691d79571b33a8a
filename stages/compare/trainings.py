"""One training and evaluation of a comparison: a small line of its own, in a folder of its own.

A finished cell is kept while its params, its inputs and the code stay the same.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from stages.compare.cells import Cell
from stages.parts.datasets.labels import LABELS
from stages.parts.errors import GraftError
from stages.parts.preset import overlay
from stages.parts.pretrained.weights import find_encoder
from stages.parts.store import samples
from stages.parts.store.fingerprint import fingerprint

MEANS = ("base_mIoU", "novel_mIoU", "mIoU")
LINKED = ("data/scenes", "models/miniature")

Result = dict[str, Any]  # the three means, and "IoU" of each class


def run_cell(cell: Cell, seed: int, iterations: int | None, threads: int | None) -> Result:
    """The three means of one cell and seed: read, if it is finished and nothing changed, else trained."""
    folder = Path("data/compare", re.sub(r"[^a-z0-9.]+", "-", f"{cell.name} {seed}"))
    result = folder / f"data/evaluated/{cell.recipe}-{seed}/scores.json"
    settings = params_of(cell, iterations, threads)
    encoder, revision = settings["train"]["encoder"], settings["train"]["encoder_revision"]
    key = samples.key(
        params={name: settings[name] for name in ("classes", "train", "evaluate", "engine")},
        labels=LABELS.names,
        most=cell.most,
        encoder=samples.file_hash(find_encoder(encoder, revision)) if encoder else None,
        inputs=[samples.file_hash(path) for path in (*scenes_of(settings), Path("data/cutouts", cell.recipe))],
        code=fingerprint("stages.train.__main__", "stages.evaluate.__main__"),
    )
    marker = folder / "key"
    if not marker.is_file() or marker.read_text() != key:
        shutil.rmtree(folder, ignore_errors=True)
        lay_out(folder, cell, settings)
        marker.write_text(key)
    if not result.is_file():
        for stage in ("train", "evaluate"):
            run_stage(folder, stage, cell.recipe, str(seed))
    measured = json.loads(result.read_text())["val"]  # a comparison is a choice
    return {mean: measured[mean] for mean in MEANS} | {"IoU": measured["IoU"]}


def scenes_of(settings: dict) -> list[Path]:
    """The splits that a training and its evaluation read."""
    supervised = settings["train"]["method"] == "supervised"
    return [
        Path("data/scenes", split) for split in (("oracle",) if supervised else ("source", "target")) + ("val", "test")
    ]


def params_of(cell: Cell, iterations: int | None = None, threads: int | None = None) -> dict:
    content = YAML(typ="safe", pure=True).load(Path("params.yaml").read_text())
    overlay(content["train"], cell.changes)
    if iterations is not None:
        content["train"]["iterations"] = iterations
    if threads is not None:
        content["engine"]["threads"] = threads
    return content


def lay_out(folder: Path, cell: Cell, settings: dict) -> None:
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
        lambda uids: (copy_of(bank, kept[uid]) for uid in uids),
        title=f"cutouts of {cell.name}",
    )


def copy_of(bank: samples.Shards, row: dict) -> samples.Sample:
    own = {name: value for name, value in row.items() if name not in ("uid", "key", "sha256", "shard")}
    return samples.Sample(row["uid"], row["key"], own, bank.read(row["uid"]))


def run_stage(folder: Path, stage: str, *arguments: str) -> None:
    """Run a stage in the cell's folder. GraftError with its last line when it fails."""
    root = Path(__file__).parents[2]
    env = os.environ | {"PYTHONPATH": os.pathsep.join([str(root), os.environ.get("PYTHONPATH", "")])}
    command = [sys.executable, "-m", f"stages.{stage}", *arguments]
    with (folder / f"{stage}.log").open("w") as log:
        done = subprocess.run(command, cwd=folder, env=env, stdout=log, stderr=subprocess.STDOUT, check=False)
    if done.returncode:
        last = (folder / f"{stage}.log").read_text().replace("\r", "\n").strip().splitlines()[-1:]
        raise GraftError(f"{folder}: {' '.join(command[1:])} failed: {' '.join(last)}; see {stage}.log there")
