"""report: what the new classes gained, as a table, as plots and as one page to look at.

in       params `classes`, `train.recipes`, `train.seeds`, data/scenes/val; of every CLASS data/refined/CLASS,
         data/cleaned/CLASS.csv, metrics/clean/CLASS.json; of every recipe and seed data/evaluated/RECIPE-SEED,
         metrics/evaluate/RECIPE-SEED.json, metrics/train/RECIPE-SEED.csv
out      metrics/summary.json, metrics/{iou,confusion,curves}.csv for `dvc plots show`, metrics/overview.png,
         data/report: index.html, CLASS.png, segmentations.png, iou.png, confusion.png
command  python -m stages.report [--table]
cost     about 5 s on one CPU core
expect   miniature: a novel mean of 0 for baseline and of 51 or more for grafted
source   IoU as in evaluate; mean and population standard deviation over seeds
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from stages.labels import CITYSCAPES
from stages.params import GraftError, Params, command, read
from stages.report import charts, sheets, tables
from stages.report.page import page
from stages.samples import Shards, png_array, png_bytes

METRICS, REPORT = Path("metrics"), Path("data/report")
SHOWN = 8  # kept and rejected samples on a class's sheet, validation images on the sheet of segmentations


@command
def main(argv: Sequence[str] | None = None) -> None:
    only_table = parser().parse_args(argv).table
    params = read()
    if only_table:
        show(load(METRICS / "summary.json", "python -m stages.report"), params.classes)
        return
    recipes: list[str] = [*params.train.recipes]
    runs = {recipe: [read_run(recipe, seed, params) for seed in params.train.seeds] for recipe in recipes}
    curves = [row for recipe in recipes for seed in params.train.seeds for row in read_curve(recipe, seed)]
    counts = {
        name: load(METRICS / "clean" / f"{name}.json", f"python -m stages.clean {name}") for name in params.classes
    }
    pictures = {f"{name}.png": class_sheet(name) for name in params.classes}
    pictures["segmentations.png"] = png_bytes(segmentation_sheet(params, SHOWN))
    examples = [example_sheet(params.classes), segmentation_sheet(params, len(params.classes))]

    result = tables.summary(runs)
    write(METRICS / "summary.json", (json.dumps(result, indent=2) + "\n").encode())
    write(METRICS / "iou.csv", table(tables.iou_rows(result, params.classes)))
    write(METRICS / "confusion.csv", table(tables.confusion_rows(runs)))
    write(METRICS / "curves.csv", table(curves))
    write(METRICS / "overview.png", png_bytes(sheets.stacked(examples)))
    pictures["iou.png"] = charts.iou_chart(result, params.classes)
    pictures["confusion.png"] = charts.confusion_chart({recipe: tables.shares(seeds) for recipe, seeds in runs.items()})
    shutil.rmtree(REPORT, ignore_errors=True)
    for name, content in pictures.items():
        write(REPORT / name, content)
    absent = [name for name in CITYSCAPES.names if name not in tables.present(result, params.classes)]
    lines = tables.comparison(result, params.classes)
    html = page(lines, params.train.seeds, absent, counts, means=len(tables.MEANS))
    write(REPORT / "index.html", html.encode())
    show(result, params.classes)


def show(result: tables.Summary, novel: Sequence[str]) -> None:
    """Print the table, and what to open."""
    print(tables.aligned(tables.comparison(result, novel)))
    seeds = max(measures["seeds"] for measures in result.values())
    what = "one seed" if seeds == 1 else f"mean ± std over {seeds} seeds"
    print(f"\n{what}; open {REPORT / 'index.html'} to see the samples and the segmentations")


def load(path: Path, command: str) -> Any:
    """The content of a JSON file. GraftError, naming the command that writes it, when it is missing or broken."""
    try:
        return json.loads(path.read_bytes())
    except FileNotFoundError:
        raise GraftError(f"{path} is missing; run `{command}` or `dvc repro`") from None
    except ValueError:
        raise GraftError(f"{path} is no valid JSON; delete it and run `{command}` or `dvc repro`") from None


def read_run(recipe: str, seed: int, params: Params) -> tables.Run:
    """What evaluate measured of one segmenter. GraftError when it is missing or was made for other classes."""
    path, command = METRICS / "evaluate" / f"{recipe}-{seed}.json", f"python -m stages.evaluate {recipe} {seed}"
    run = load(path, command)
    needed = {"classes", "novel", "confusion", "IoU", *tables.MEANS}
    if not isinstance(run, dict) or needed - run.keys() or run["novel"] != params.classes:
        raise GraftError(
            f"{path} was not made for the classes {', '.join(params.classes)}; run `{command}` or `dvc repro`"
        )
    return run


def read_curve(recipe: str, seed: int) -> list[tables.Row]:
    """The losses of one training, thinned, each row with its recipe and seed."""
    path = METRICS / "train" / f"{recipe}-{seed}.csv"
    again = f"run `python -m stages.train {recipe} {seed}` or `dvc repro`"
    if not path.is_file():
        raise GraftError(f"{path} is missing; {again}")
    with open(path, newline="") as file:
        try:
            curve = [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]
        except (TypeError, ValueError):
            raise GraftError(f"{path} has a cell that is no number; delete it and {again}") from None
    return [{"recipe": recipe, "seed": seed, **row} for row in tables.thinned(curve)]


def class_sheet(name: str) -> bytes:
    """PNG of kept samples, evenly spaced, and of rejected ones, every reason in turn."""
    refined = Shards(Path("data/refined") / name)
    kept, rejected = verdicts(Path("data/cleaned") / f"{name}.csv")
    reasons = {uid: reason for reason, uids in rejected.items() for uid in uids}
    chosen = [
        [candidate(refined, uid, reasons.get(uid, "")) for uid in uids]
        for uids in (sheets.spaced(kept, SHOWN), sheets.in_turns(rejected, SHOWN))
    ]
    return png_bytes(sheets.candidate_sheet(*chosen))


def verdicts(path: Path) -> tuple[list[str], dict[str, list[str]]]:
    """The kept uids, and reason -> rejected uids, of a keep-list."""
    again = f"run `python -m stages.clean {path.stem}` or `dvc repro`"
    if not path.is_file():
        raise GraftError(f"{path} is missing; {again}")
    kept: list[str] = []
    rejected: dict[str, list[str]] = {}
    with open(path, newline="") as file:
        for row in csv.DictReader(file):
            if not {"uid", "kept", "reason"} <= row.keys():
                raise GraftError(f"{path} has no columns uid, kept and reason; {again}")
            (kept if row["kept"] == "1" else rejected.setdefault(row["reason"], [])).append(row["uid"])
    return kept, dict(sorted(rejected.items()))


def candidate(refined: Shards, uid: str, reason: str) -> sheets.Candidate:
    files = refined.read(uid)
    planes = (png_array(files[f"{name}.png"]) for name in ("image", "attribution", "seed", "mask"))
    return sheets.Candidate(uid, reason, *planes)


def example_sheet(classes: Sequence[str]) -> sheets.Picture:
    """One kept sample of every class, from the middle of its keep-list: image, map, seed, mask, cutout."""
    chosen = []
    for name in classes:
        kept, _ = verdicts(Path("data/cleaned") / f"{name}.csv")
        refined = Shards(Path("data/refined") / name)
        chosen += [candidate(refined, uid, "") for uid in kept[len(kept) // 2 :][:1]]
    return np.array(sheets.block(chosen))


def segmentation_sheet(params: Params, shown: int) -> sheets.Picture:
    """The validation images richest in each novel class, in turn: image, truth, every recipe's prediction."""
    val, seed = Shards("data/scenes/val"), params.train.seeds[0]
    predicted = {recipe: Shards(f"data/evaluated/{recipe}-{seed}") for recipe in params.train.recipes}
    lines, used = [], set()
    for uid in sheets.in_turns(richest(val.rows, params.classes), shown):
        files = val.read(uid)
        maps = [png_array(files["label.png"])]
        maps += [png_array(shards.read(uid)["prediction.png"]) for shards in predicted.values()]
        lines.append([png_array(files["image.png"]), *map(CITYSCAPES.colourise, maps)])
        used |= set(np.unique(maps))
    sheet = sheets.grid(lines, ["image", "truth", *predicted], height=128, width=256)
    colours = {name: CITYSCAPES.palette[k] for k, name in enumerate(CITYSCAPES.names) if k in used}
    return np.concatenate([sheet, sheets.legend(colours, sheet.shape[1])])


def richest(rows: Iterable[Mapping[str, Any]], novel: Sequence[str]) -> dict[str, list[str]]:
    """Novel class -> uids of the images that show it, those with the most of its pixels first."""
    pixels = {row["uid"]: row["pixels"] for row in rows}
    found = {}
    for name in novel:
        count = {uid: pixels[uid].get(str(CITYSCAPES.id(name)), 0) for uid in pixels}
        found[name] = sorted((uid for uid in count if count[uid]), key=lambda uid: (-count[uid], uid))
    return found


def table(rows: Sequence[tables.Row]) -> bytes:
    """CSV; the columns are those of all rows, a cell that a row lacks is empty."""
    text = io.StringIO()
    columns = list(dict.fromkeys(column for row in rows for column in row))
    writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def write(path: Path, content: bytes) -> None:
    """Whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(path.name + ".tmp")
    unfinished.write_bytes(content)
    os.replace(unfinished, path)


def parser() -> argparse.ArgumentParser:
    result = argparse.ArgumentParser(
        prog="python -m stages.report", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    result.add_argument("--table", action="store_true", help="print the table of metrics/summary.json, compute nothing")
    return result


if __name__ == "__main__":
    main()
