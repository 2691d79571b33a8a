"""NCDSS and EUMS with one part taken away or changed, with published settings, and in a harder world.

command  python -m tests.benchmarks.discovery_ablations [--only NAME ...] [--slots 2] [--out FILE]
needs    what `dvc repro lines/ncdss/dvc.yaml` made; for the harder world the picture book too
         (python -m stages.miniature.book)
cost     core minutes: a row that changes the ranking or EUMS 10, the clusters 20, the base model 30; the harder world
         60, for it teaches an encoder and a saliency net
says     of each row what metrics/ncdss/summary.json says: mIoU on test, purity of regions, clusters and clean split

A row is a folder of its own under data/compare/ncdss, with its params.yaml and the line's commands, from the first
stage that it changes; what comes before that is the line's.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from stages.compare.measured import networks
from stages.compare.systems import markdown
from stages.ncdss.preset import VALUES
from stages.parts.preset import overlay
from tests.benchmarks.pool import Job, run_jobs

WHERE, RESULT = Path("data/compare/ncdss"), Path("metrics/compare/ncdss.json")
LINKED = ("stages", "tests", "data/photos", "data/cutouts", "lines/miniature/data/book", "models/miniature")
SUMMARY = Path("metrics/ncdss/summary.json")
STAGES = ("teach", "base", "regions", "cluster", "basic", "rank")
EXACT: dict[str, list[str]] = {"basic": ["exact"], "eums": ["exact"]}
FEW: dict[str, list[str]] = {"basic": ["exact", "both"], "eums": ["exact", "both"]}
LONG: dict[str, list[str]] = {"basic": ["exact", "both", "long"], "eums": ["exact", "both"]}
TAUGHT = {"network": {"encoder": "models/taught/encoder"}, "regions": {"saliency": "models/taught/saliency"}}
VIT = {"cluster": {"encoder": "models/miniature/vit", "look": "isolated"}}
# Published, but for the least area.
REGIONS = {key: VALUES["parity"]["regions"][key] for key in ("tau", "grow", "opened", "parts", "doubt")}
PUBLISHED = {  # the published values but for size, network and lengths, which the small world has its own of
    "network": {"start": "encoder"},
    "learning": VALUES["parity"]["learning"] | {"epoch": 13},
    "regions": VALUES["parity"]["regions"] | {"min_area": 1500 / 512**2, "min_pixels": None},
    "cluster": VALUES["parity"]["cluster"] | {"overclustered": 6, "named": 12},
    "rank": VALUES["parity"]["rank"],
    "eums": VALUES["parity"]["eums"] | {"iterations": 400},
    "evaluate": VALUES["parity"]["evaluate"],
}
# name -> what params.yaml ncdss has otherwise, the networks that are trained, the first stage that is another.
ROWS: dict[str, tuple[dict[str, Any], dict[str, list[str]], str]] = {
    "params.yaml": ({}, LONG, "base"),
    "base model of 400 iterations": ({"base": {"iterations": 400}}, LONG, "base"),
    "base model of 2400 iterations": ({"base": {"iterations": 2400}}, LONG, "base"),
    "published regions": ({"regions": REGIONS}, EXACT, "regions"),
    "ranking alone": ({"eums": {"weight": 0.0}}, EXACT, "rank"),
    "ranking and reassignment": ({"eums": {"weight": 0.0, "reassign": 5}}, EXACT, "rank"),
    "ranking, self-training and reassignment": ({"eums": {"reassign": 5}}, EXACT, "rank"),
    "self-training twice as heavy": ({"eums": {"weight": 2.0}}, EXACT, "rank"),
    "sure online labels alone": ({"eums": {"eta": 0.6}}, EXACT, "rank"),
    "a quota for each class, and reassignment": ({"rank": {"quota": True}, "eums": {"reassign": 5}}, EXACT, "rank"),
    "published settings": (PUBLISHED, EXACT, "base"),
    "one region a picture": ({"regions": {"parts": False}}, FEW, "regions"),
    "features of regions alone on grey": ({"cluster": {"look": "isolated"}}, FEW, "cluster"),
    "features of the self-distilled ViT": (VIT, EXACT, "cluster"),
    "from random weights": ({"network": {"name": "unet", "encoder": None}}, EXACT, "base"),
    "harder world": (TAUGHT | VIT, LONG, "teach"),
}


def folder_of(name: str) -> Path:
    return WHERE / name.replace(" ", "-").replace(",", "").replace("'", "")


def lay_out(name: str, seeds: Sequence[int]) -> Path:
    """A folder with the params of the row, links to what it reads, and what the line has made."""
    folder, root = folder_of(name), Path.cwd()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for path in LINKED:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).symlink_to(root / path)
    for made in ("data/ncdss", "models/ncdss"):
        shutil.copytree(made, folder / made, ignore=shutil.ignore_patterns("evaluated", "report"))
    yaml = YAML()
    params = yaml.load(Path("params.yaml").read_text(encoding="utf-8"))
    changes, networks, _ = ROWS[name]
    overlay(params["ncdss"], {**changes, "rows": networks, "seeds": list(seeds)})
    params["engine"]["threads"] = 1  # as many cells at a time as there are cores use them better
    with open(folder / "params.yaml", "w", encoding="utf-8") as file:
        yaml.dump(params, file)
    return folder


def jobs_of(name: str, folder: Path, seeds: Sequence[int]) -> Iterator[Job]:
    """The line's commands from the row's first stage on, each cell a job of its own."""
    _, networks, first = ROWS[name]
    made = STAGES[STAGES.index(first) :]

    def job(stage: str, *cell: str, needs: Sequence[str]) -> Job:
        module = "tests.benchmarks.discovery_teachers" if stage == "teach" else f"stages.ncdss.{stage}"
        known = [f"{name}/{each}" for each in needs if each.partition("/")[0] in (*made, "eums", "evaluate")]
        return Job("/".join((name, stage, *cell)), folder, [sys.executable, "-m", module, *cell], known)

    before: list[str] = []
    for stage in ("teach", "base", "regions", "cluster"):
        if stage in made:
            yield job(stage, *(["models/taught"] if stage == "teach" else []), needs=before)
            before = ["teach/models/taught" if stage == "teach" else stage]
    cells = [(row, str(seed)) for row in networks["basic"] for seed in seeds if "basic" in made]
    further = [(row, str(seed)) for row in networks["eums"] for seed in seeds]
    yield from (job("basic", *cell, needs=["cluster"]) for cell in cells)
    for row, seed in further:
        yield job("rank", row, seed, needs=[f"basic/{row}/{seed}"])
        yield job("eums", row, seed, needs=[f"rank/{row}/{seed}"])
    yield job("evaluate", needs=["/".join(("basic", *cell)) for cell in cells] + [f"eums/{r}/{s}" for r, s in further])
    yield job("summary", needs=["evaluate"])


def collect(names: Sequence[str], out: Path) -> None:
    found: dict[str, Any] = json.loads(out.read_text()) if out.is_file() else {}
    for name in names:
        if (folder_of(name) / SUMMARY).is_file():
            found[name] = json.loads((folder_of(name) / SUMMARY).read_text())
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=list(ROWS), default=list(ROWS), metavar="NAME")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--slots", type=int, default=2, help="commands at a time, of one thread each")
    parser.add_argument("--out", type=Path, default=RESULT)
    args = parser.parse_args(argv)
    jobs = [job for name in args.only for job in jobs_of(name, lay_out(name, args.seeds), args.seeds)]
    failed = run_jobs(jobs, args.slots)
    collect(args.only, args.out)
    print(markdown(list(networks(json.loads(args.out.read_text())))))
    if failed:
        raise SystemExit(f"failed or not started: {', '.join(failed)}; {WHERE}/ROW/logs say why")


if __name__ == "__main__":
    main()
