"""What each preset of the cleaner is worth: the novel classes' IoU after training on what it keeps.

command  python -m tests.benchmarks.presets [--seeds 0 1 2] [--presets none ucg strict]
needs    data/refined of every class, data/scenes (dvc repro refine scenes)
cost     3.5 min per preset and seed on two CPU cores; what is finished is kept in data/.work/presets, so a stopped run
         goes on where it was, and a further seed costs its own trainings alone
says     cutouts kept, and base and novel mean IoU in percent of each seed, then mean ± sample standard deviation

Each preset has a folder of its own there, with the params of this repo but for clean's limits, and links to the rest.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import mean, stdev

from ruamel.yaml import YAML

from stages.clean.params import Rules
from stages.clean.presets import PRESETS
from stages.parts.sections import read
from stages.preflight import Params

ROOT = Path.cwd()
WORK = ROOT / "data/.work/presets"
LINKS = ("data/refined", "data/scenes", "models/miniature")


def main(argv: Sequence[str] | None = None) -> None:
    arguments = parser().parse_args(argv)
    folders = {preset: prepared(preset) for preset in arguments.presets}
    for seed in arguments.seeds:
        for preset, folder in folders.items():
            trained(folder, seed)
            print(line(preset, folder, arguments.seeds), flush=True)
    print(f"\n{'preset':8} {'kept':>5}  base, novel of the seeds {arguments.seeds}, then mean ± std")
    for preset, folder in folders.items():
        print(line(preset, folder, arguments.seeds))


def prepared(preset: str) -> Path:
    """The preset's folder: its params, links, keep-lists and cutouts."""
    folder = WORK / preset
    for name in LINKS:
        link = folder / name
        link.parent.mkdir(parents=True, exist_ok=True)
        if not link.is_symlink():
            link.symlink_to(ROOT / name)
    yaml = YAML()
    params = yaml.load((ROOT / "params.yaml").read_text())
    params["clean"] |= dict.fromkeys(Rules.model_fields) | PRESETS[preset]
    with open(folder / "params.yaml", "w") as file:
        yaml.dump(params, file)
    for name in read(Params).classes:
        run(folder, "clean", name)
    run(folder, "cutouts", "grafted")
    return folder


def trained(folder: Path, seed: int) -> None:
    if not result(folder, seed).is_file():
        run(folder, "train", "grafted", str(seed))
        run(folder, "evaluate", "grafted", str(seed))


def result(folder: Path, seed: int) -> Path:
    return folder / f"data/evaluated/grafted-{seed}/scores.json"


def run(folder: Path, stage: str, *arguments: str) -> None:
    env = os.environ | {"PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1"}
    log = folder / f"{stage}.log"
    with open(log, "w") as out:
        done = subprocess.run(
            [sys.executable, "-m", f"stages.{stage}", *arguments], cwd=folder, env=env, stdout=out, stderr=out
        )
    if done.returncode:
        raise SystemExit(f"{stage} {' '.join(arguments)} failed in {folder}; see {log}")


def line(preset: str, folder: Path, seeds: Sequence[int]) -> str:
    kept = sum(json.loads(path.read_text())["kept"] for path in (folder / "metrics/clean").glob("*.json"))
    found = [json.loads(result(folder, seed).read_text())["val"] for seed in seeds if result(folder, seed).is_file()]
    pairs = [(one["base_mIoU"], one["novel_mIoU"]) for one in found]
    each = "  ".join(f"{base:.1f} {novel:.1f}" for base, novel in pairs)
    if len(pairs) < 2:
        return f"{preset:8} {kept:5d}  {each}"
    base, novel = ([pair[k] for pair in pairs] for k in (0, 1))
    spread = f"{mean(base):.1f} ± {stdev(base):.1f}  {mean(novel):.1f} ± {stdev(novel):.1f}"
    return f"{preset:8} {kept:5d}  {each}   {spread}"


def parser() -> argparse.ArgumentParser:
    result = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    result.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    result.add_argument("--presets", nargs="+", choices=PRESETS, default=list(PRESETS))
    return result


if __name__ == "__main__":
    main()
