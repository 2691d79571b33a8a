"""report: what the new classes gained, as a table, as plots and as one page to look at.

in       params `classes`, `recipes`, `seeds`, `evaluate.absent`, data/scenes; of every CLASS
         data/generated/CLASS (prompts), data/refined/CLASS, data/cleaned/CLASS.csv, metrics/clean/CLASS.json; of every
         recipe and seed data/evaluated/RECIPE-SEED, metrics/evaluate/RECIPE-SEED.json, metrics/train/RECIPE-SEED.csv
out      metrics/summary.json, metrics/{iou,confusion,curves}.csv for `dvc plots show`, metrics/overview.png,
         data/report: index.html, CLASS.png, segmentations.png, iou.png, confusion.png, curves.png
command  python -m stages.report [--table]
cost     about 5 s on one CPU core
expect   miniature: a novel mean of 0 for baseline and of 51 or more for grafted
source   IoU as in evaluate; mean and sample standard deviation over seeds
"""

from __future__ import annotations

import argparse
import csv
import json
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from stages.parts.command import command
from stages.parts.datasets.labels import LABELS
from stages.parts.drawing import charts, sheets, tables
from stages.parts.drawing.colours import legend, palette
from stages.parts.drawing.page import page
from stages.parts.errors import GraftError
from stages.parts.sections import read
from stages.parts.store.atomic import write_csv, write_whole
from stages.parts.store.keeplist import verdicts
from stages.parts.store.samples import Shards, png_array, png_bytes
from stages.report.params import Params
from stages.report.paste import pasted

METRICS, REPORT = Path("metrics"), Path("data/report")
PLANES = ("image", "attribution", "seed", "mask")  # what refine leaves of a sample
STREET = (145, [290])  # height and width of a street's tile
SHOWN = 8  # kept and rejected samples on a class's sheet, validation images on the sheet of segmentations


@command
def main(argv: Sequence[str] | None = None) -> None:
    only_table = parser().parse_args(argv).table
    params = read(Params)
    if only_table:
        show(load(METRICS / "summary.json", "python -m stages.report"), params.classes)
        return
    recipes: list[str] = [*params.recipes]
    runs = {recipe: [read_run(recipe, seed, params) for seed in params.seeds] for recipe in recipes}
    curves = [row for recipe in recipes for seed in params.seeds for row in read_curve(recipe, seed)]
    counts = {
        name: load(METRICS / "clean" / f"{name}.json", f"python -m stages.clean {name}") for name in params.classes
    }
    pictures = {f"{name}.png": class_sheet(name) for name in params.classes}
    pictures["segmentations.png"] = png_bytes(segmentation_sheet(params, SHOWN))
    segmentations = segmentation_sheet(params, len(params.classes))
    overview = sheets.stacked([example_sheet(params.classes), street_sheet(params.classes), segmentations])

    result = tables.summary(runs)
    write_whole(METRICS / "summary.json", (json.dumps(result, indent=2) + "\n").encode())
    write_table(METRICS / "iou.csv", tables.iou_rows(result, params.classes))
    write_table(METRICS / "confusion.csv", tables.confusion_rows(runs))
    write_table(METRICS / "curves.csv", curves)
    write_whole(METRICS / "overview.png", png_bytes(overview))
    pictures["iou.png"] = charts.iou_chart(result, params.classes)
    pictures["curves.png"] = charts.curves_chart(curves)
    pictures["confusion.png"] = charts.confusion_chart({recipe: tables.shares(seeds) for recipe, seeds in runs.items()})
    shutil.rmtree(REPORT, ignore_errors=True)
    for name, content in pictures.items():
        write_whole(REPORT / name, content)
    absent = [name for name in LABELS.names if name not in tables.present(result, params.classes)]
    lines = tables.comparison(result, params.classes)
    zeros = params.evaluate.absent == "mmseg"
    html = page(lines, params.seeds, absent, counts, means=len(tables.MEANS), zeros=zeros)
    write_whole(REPORT / "index.html", html.encode())
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
    refined, words = Shards(Path("data/refined") / name), prompts(name)
    kept, rejected = verdicts(Path("data/cleaned") / f"{name}.csv")
    reasons = {uid: reason for reason, uids in rejected.items() for uid in uids}
    chosen = [
        [candidate(refined, uid, reasons.get(uid, ""), words.get(uid, "")) for uid in uids]
        for uids in (sheets.spaced(kept, SHOWN), sheets.in_turns(rejected, SHOWN))
    ]
    return png_bytes(sheets.candidate_sheet(*chosen))


def prompts(name: str) -> dict[str, str]:
    """uid -> the prompt that it was drawn from; cutouts that were taken in may have none."""
    return {row["uid"]: row.get("prompt", "") for row in Shards(Path("data/generated") / name).rows}


def candidate(refined: Shards, uid: str, reason: str, words: str) -> sheets.Candidate:
    files = refined.read(uid)
    image, attribution, seed, mask = (png_array(files[f"{plane}.png"]) for plane in PLANES)
    return sheets.Candidate(uid, reason, image, attribution, seed, mask, words)


def example_sheet(classes: Sequence[str]) -> sheets.Picture:
    """One kept sample of every class, from the middle of its keep-list: its words, image, map, seed, mask, cutout, and
    how it looks in a labelled source street."""
    source, colours, lines, captions = Shards("data/scenes/source"), palette(classes), [], []
    for name, street in zip(classes, sheets.spaced([row["uid"] for row in source.rows], len(classes)), strict=False):
        kept, _ = verdicts(Path("data/cleaned") / f"{name}.csv")
        words, files = prompts(name), source.read(street)
        for uid in kept[len(kept) // 2 :][:1]:
            one = candidate(Shards(Path("data/refined") / name), uid, "", words.get(uid, ""))
            scene = (png_array(files["image.png"]), png_array(files["label.png"]))
            image, label = pasted(*scene, one.image, one.mask, LABELS.id(name))
            lines.append([*sheets.pictures(one), image, colours[label]])
            captions.append((f"{name}: {one.words or one.uid}", sheets.INK))
    header = [*sheets.COLUMNS, "pasted into a source street", "and into its label"]
    return sheets.grid(lines, header, widths=[*[sheets.TILE] * len(sheets.COLUMNS), 256], captions=captions)


def street_sheet(classes: Sequence[str]) -> sheets.Picture:
    """The two domains side by side: a source street with its label, two target streets, which have none."""
    source, target = Shards("data/scenes/source"), Shards("data/scenes/target")
    files = source.read(source.rows[len(source) // 2]["uid"])
    line = [png_array(files["image.png"]), palette(classes)[png_array(files["label.png"])]]
    line += [png_array(target.read(uid)["image.png"]) for uid in sheets.spaced([r["uid"] for r in target.rows], 2)]
    header = ["source: labelled, without the new classes", "its label", "target: unlabelled, with them", ""]
    return sheets.grid([line], header, *STREET)


def segmentation_sheet(params: Params, shown: int) -> sheets.Picture:
    """The validation images richest in each novel class, in turn: image, truth, every recipe's prediction."""
    val, seed = Shards("data/scenes/val"), params.seeds[0]
    predicted = {recipe: Shards(f"data/evaluated/{recipe}-{seed}") for recipe in params.recipes}
    colours, lines, used = palette(params.classes), [], set()
    for uid in sheets.in_turns(richest(val.rows, params.classes), shown):
        files = val.read(uid)
        maps = [png_array(files["label.png"])]
        maps += [png_array(shards.read(uid)["prediction.png"]) for shards in predicted.values()]
        lines.append([png_array(files["image.png"]), *(colours[labels] for labels in maps)])
        used |= {int(k) for k in np.unique(maps)}
    sheet = sheets.grid(lines, ["target image", "truth", *predicted], *STREET)
    return np.concatenate([sheet, sheets.legend(legend(used, params.classes), sheet.shape[1])])


def richest(rows: Iterable[Mapping[str, Any]], novel: Sequence[str]) -> dict[str, list[str]]:
    """Novel class -> uids of the images that show it, those with the most of its pixels first."""
    pixels = {row["uid"]: row["pixels"] for row in rows}
    found = {}
    for name in novel:
        count = {uid: pixels[uid].get(str(LABELS.id(name)), 0) for uid in pixels}
        found[name] = sorted((uid for uid in count if count[uid]), key=lambda uid: (-count[uid], uid))
    return found


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
