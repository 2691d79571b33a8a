"""report: what the new classes gained, as a table, as plots and as one page to look at.

in       params `classes`, `recipes`, `seeds`, `evaluate.absent`, data/scenes; of every CLASS data/generated/CLASS
         (prompts), data/refined/CLASS, data/cleaned/CLASS.{csv,json}; of every recipe and seed
         data/evaluated/RECIPE-SEED, data/trained/RECIPE-SEED.csv
out      metrics/summary.json (the means on test), metrics/{iou,confusion,curves}.csv for `dvc plots show`,
         metrics/overview.png; data/report/ucg: index.html, CLASS.png, segmentations.png,
         iou.png, confusion.png, curves.png
command  python -m stages.report [--table]
cost     about 5 s on one CPU core
expect   miniature: a novel mean of 0 for baseline and of 51 or more for grafted
source   IoU as in evaluate; mean and sample standard deviation over seeds
"""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from stages.parts.command import command
from stages.parts.datasets.labels import LABELS
from stages.parts.drawing import tables
from stages.parts.drawing.page import page
from stages.parts.errors import GraftError
from stages.parts.sections import read
from stages.parts.store.atomic import write_csv, write_whole
from stages.parts.store.documents import read_csv, read_json
from stages.parts.store.samples import png_bytes
from stages.report.params import Params

METRICS, REPORT = Path("metrics"), Path("data/report/ucg")
SPLITS = ("test", "val")  # what is reported, and what choices are made on


@command
def main(argv: Sequence[str] | None = None) -> None:
    only_table = parser().parse_args(argv).table
    params = read(Params)
    if only_table:
        show(told(len(params.seeds)), params.classes)
        return
    from stages.parts.drawing import charts, sheets  # here, for the table alone needs no matplotlib
    from stages.report import pictures

    # What the other stages have measured.
    found = {recipe: [read_run(recipe, seed, params) for seed in params.seeds] for recipe in params.recipes}
    runs = {split: {recipe: [run | run[split] for run in seeds] for recipe, seeds in found.items()} for split in SPLITS}
    results = {split: tables.summary(runs[split]) for split in SPLITS}
    curves = [row for recipe in params.recipes for seed in params.seeds for row in read_curve(recipe, seed)]
    counts = {
        name: load(Path(f"data/cleaned/{name}.json"), f"python -m stages.clean {name}") for name in params.classes
    }

    # What it looks like.
    drawn = {f"{name}.png": pictures.class_sheet(name) for name in params.classes}
    drawn["segmentations.png"] = png_bytes(pictures.segmentation_sheet(params, "test", pictures.SHOWN))
    drawn["iou.png"] = charts.iou_chart(results["test"], params.classes)
    drawn["curves.png"] = charts.curves_chart(curves)
    shares = {recipe: tables.shares(seeds) for recipe, seeds in runs["test"].items()}
    drawn["confusion.png"] = charts.confusion_chart(shares)
    few = pictures.segmentation_sheet(params, "test", len(params.classes))
    overview = [pictures.example_sheet(params.classes), pictures.street_sheet(params.classes), few]

    # For `dvc metrics` and `dvc plots`, which git keeps; then the page and its details.
    write_whole(METRICS / "summary.json", json.dumps(tables.headline(results["test"]), indent=2) + "\n")
    write_table(METRICS / "iou.csv", tables.iou_rows(results, params.classes))
    write_table(METRICS / "confusion.csv", tables.confusion_rows(runs["test"]))
    write_table(METRICS / "curves.csv", curves)
    write_whole(METRICS / "overview.png", png_bytes(sheets.stacked(overview)))
    shutil.rmtree(REPORT, ignore_errors=True)
    for name, content in drawn.items():
        write_whole(REPORT / name, content)
    write_whole(REPORT / "index.html", html_page(params, results, counts))
    show(results["test"], params.classes)


def told(seeds: int) -> tables.Summary:
    """What the last report has found on test. GraftError when its files are missing or damaged."""
    headline, again = load(METRICS / "summary.json", "python -m stages.report"), "run `python -m stages.report`"
    try:
        rows = read_csv(METRICS / "iou.csv", ["split"], again)
        return tables.restored(headline, [row for row in rows if row["split"] == "test"], seeds)
    except (KeyError, TypeError, ValueError, AttributeError):
        raise GraftError(f"{METRICS}/summary.json and iou.csv do not belong together; {again}") from None


def html_page(params: Params, results: Mapping[str, tables.Summary], counts: Mapping[str, Any]) -> str:
    """The page, with the table of test, and the means on val below it."""
    result, count = results["test"], len(tables.MEANS)
    absent = [name for name in LABELS.names if name not in tables.present(result, params.classes)]
    return page(
        tables.comparison(result, params.classes),
        tables.comparison(results["val"], params.classes)[-count:],
        params.seeds,
        absent,
        counts,
        means=count,
        zeros=params.evaluate.absent == "mmseg",
    )


def show(result: tables.Summary, novel: Sequence[str]) -> None:
    """Print the table, and what to open."""
    print(tables.aligned(tables.comparison(result, novel)))
    seeds = max(measures["seeds"] for measures in result.values())
    what = "one seed" if seeds == 1 else f"mean ± std over {seeds} seeds"
    print(f"\n{what}; open {REPORT / 'index.html'} to see the samples and the segmentations")


def load(path: Path, command: str) -> Any:
    """The table of a JSON file. GraftError, naming the command that writes it, when it is missing or broken."""
    return read_json(path, f"run `{command}` or `dvc repro`")


def read_run(recipe: str, seed: int, params: Params) -> dict[str, Any]:
    """What evaluate measured of one segmenter, split by split. GraftError when it is missing or of other classes."""
    path, command = Path(f"data/evaluated/{recipe}-{seed}/scores.json"), f"python -m stages.evaluate {recipe} {seed}"
    run = load(path, command)
    needed = {"confusion", "IoU", *tables.MEANS}
    whole = isinstance(run, dict) and all(isinstance(run.get(split), dict) for split in SPLITS)
    if not whole or any(needed - run[split].keys() for split in SPLITS) or run.get("novel") != params.classes:
        raise GraftError(
            f"{path} was not made for the classes {', '.join(params.classes)}; run `{command}` or `dvc repro`"
        )
    return run


def read_curve(recipe: str, seed: int) -> list[tables.Row]:
    """The losses of one training, thinned, each row with its recipe and seed."""
    path = Path(f"data/trained/{recipe}-{seed}.csv")
    again = f"run `python -m stages.train {recipe} {seed}` or `dvc repro`"
    try:
        curve = [{name: float(value) for name, value in row.items()} for row in read_csv(path, ["iter"], again)]
    except ValueError:
        raise GraftError(f"{path} has a cell that is no number; {again}") from None
    return [{"recipe": recipe, "seed": seed, **row} for row in tables.thinned(curve)]


def write_table(path: Path, rows: Sequence[tables.Row]) -> None:
    """A CSV: the columns are those of all rows, a cell that a row lacks is empty."""
    columns = list(dict.fromkeys(column for row in rows for column in row))
    write_csv(path, columns, ([row.get(column, "") for column in columns] for row in rows))


def parser() -> argparse.ArgumentParser:
    result = argparse.ArgumentParser(
        prog="python -m stages.report", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    result.add_argument("--table", action="store_true", help="print the table of metrics/summary.json, compute nothing")
    return result


if __name__ == "__main__":
    main()
