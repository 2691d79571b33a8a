"""All variants and seeds in one table, and a page of drawings, maps, masks and predictions.

in       data/dataset_diffusion/{drawings,masks,trained,evaluated}/, data/photos/test
out      data/dataset_diffusion/report/ (index.html, drawings.png, segmentations.png)
         metrics/dataset_diffusion/summary.json: {variant: {split: {"mIoU": {"mean", "std"}, "IoU": {class: {"mean",
         "std"}}, "seeds"}}} in percent; beside it iou.csv and curves.csv, whose variants are in a column `recipe`, for
         they share the root line's templates of plots
command  python -m stages.dataset_diffusion.summary
cost     two seconds
expect   full above plainest, and above four fifths of supervised
source   ours
"""

from __future__ import annotations

import argparse
import html
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from stages.dataset_diffusion.evaluate import FOLDER as EVALUATED
from stages.dataset_diffusion.evaluate import SPLITS
from stages.dataset_diffusion.generate import FOLDER as DRAWINGS
from stages.dataset_diffusion.masks import FOLDER as MASKS
from stages.dataset_diffusion.params import DatasetDiffusion, Params
from stages.dataset_diffusion.train import CURVES
from stages.parts.command import command
from stages.parts.errors import GraftError
from stages.parts.sections import read
from stages.parts.store.atomic import write_changed, write_csv

METRICS, REPORT = Path("metrics/dataset_diffusion"), Path("data/dataset_diffusion/report")
SHOWN = 8  # drawings of a variant on the sheet
REFERENCE = "supervised"


@command
def main(argv: Sequence[str] | None = None) -> None:
    argparse.ArgumentParser(
        prog="python -m stages.dataset_diffusion.summary",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    ).parse_args(argv)
    line = read(Params).dataset_diffusion
    runs = {name: [scores_of(name, seed) for seed in line.seeds] for name in line.variants}

    # The numbers.
    result = summary(runs)
    write_changed(METRICS / "summary.json", json.dumps(result, indent=1) + "\n")
    rows = [
        ("test", class_name, name, value["mean"], value["std"])
        for name, splits in result.items()
        for class_name, value in splits["test"]["IoU"].items()
        if value
    ]
    write_csv(METRICS / "iou.csv", ("split", "class", "recipe", "IoU", "std"), rows)
    curves = [(name, *point) for name in line.variants for point in curve_of(name, line.seeds[0])]
    write_csv(METRICS / "curves.csv", ("recipe", "iter", "loss"), curves)

    # The page.
    from stages.parts.store.samples import png_bytes  # here, for drawing takes seconds to load

    write_changed(REPORT / "drawings.png", png_bytes(drawings_sheet(line)))
    write_changed(REPORT / "segmentations.png", png_bytes(segmentations_sheet(line)))
    write_changed(REPORT / "index.html", page(result, line.seeds))
    print(text(result))


def scores_of(variant: str, seed: int) -> dict[str, Any]:
    """What evaluate said of a cell. GraftError when it is not there, or damaged."""
    path = EVALUATED / f"{variant}-{seed}" / "scores.json"
    try:
        scores: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return {split: {"mIoU": scores[split]["mIoU"], "IoU": dict(scores[split]["IoU"])} for split in SPLITS}
    except (OSError, ValueError, TypeError, KeyError):
        raise GraftError(
            f"{path} is missing or damaged; run `python -m stages.dataset_diffusion.evaluate {variant} {seed}`"
        ) from None


def summary(runs: Mapping[str, Sequence[Mapping[str, Any]]]) -> dict[str, dict[str, Any]]:
    """variant -> split -> mean and sample standard deviation over the seeds (one seed: 0.0), percent, two decimals."""
    from stages.parts.drawing.tables import spread

    return {
        name: {
            split: {
                "mIoU": spread([run[split]["mIoU"] for run in seeds]),
                "IoU": {each: spread([run[split]["IoU"][each] for run in seeds]) for each in seeds[0][split]["IoU"]},
                "seeds": len(seeds),
            }
            for split in reversed(SPLITS)
        }
        for name, seeds in runs.items()
    }


def text(result: Mapping[str, Mapping[str, Any]]) -> str:
    """A line per variant: mIoU on val and test, and on test the share of the supervised one."""
    return "\n".join("  ".join(cells) for cells in lines_of(result))


def lines_of(result: Mapping[str, Mapping[str, Any]]) -> list[list[str]]:
    full = result.get(REFERENCE, {}).get("test", {}).get("mIoU")
    lines = [[f"{'mIoU in %':24}", f"{'val':>14}", f"{'test':>14}", f"{'of supervised':>14}"]]
    for name, splits in result.items():
        cells = [f"{name:24}"]
        for split in SPLITS:
            value = splits[split]["mIoU"]
            cells.append(f"{value['mean']:6.2f} ± {value['std']:4.2f}".rjust(14) if value else "-".rjust(14))
        own = splits["test"]["mIoU"]
        cells.append(f"{100 * own['mean'] / full['mean']:5.1f} %".rjust(14) if own and full else "-".rjust(14))
        lines.append(cells)
    return lines


def curve_of(variant: str, seed: int, points: int = 100) -> list[tuple[int, float]]:
    """At most `points` (iteration, loss) of a training, each the mean of as many neighbours."""
    import csv

    from stages.parts.drawing.tables import thinned

    path = CURVES / f"{variant}-{seed}.csv"
    try:
        with open(path, newline="") as file:
            rows = [{"iter": float(row["iter"]), "loss": float(row["loss"])} for row in csv.DictReader(file)]
    except (OSError, ValueError, KeyError):
        raise GraftError(
            f"{path} is missing or damaged; run `python -m stages.dataset_diffusion.train {variant} {seed}`"
        ) from None
    return [(round(row["iter"]), row["loss"]) for row in thinned(rows, points)]


def drawings_sheet(line: DatasetDiffusion) -> Any:
    """Drawings of every variant that learns from some: the picture, the maps of its words, its mask. Evenly spaced."""
    import numpy as np

    from stages.parts.datasets.joined import Joined
    from stages.parts.datasets.label_spaces import label_space
    from stages.parts.drawing import sheets
    from stages.parts.masks.class_maps import enlarged
    from stages.parts.store.samples import npy_array, png_array
    from stages.parts.store.shards import Shards

    labels, lines, captions = label_space(line.space), [], []
    for name in (name for name in line.variants if line.train_of(name).drawn):
        masks = line.masks_of(name)
        joined, raw = Joined(DRAWINGS / masks.prompt, MASKS / name), Shards(DRAWINGS / masks.prompt)
        rows = {row["uid"]: row for row in joined.rows}
        for uid in sheets.spaced(list(rows), SHOWN):
            files, row = joined.read(uid), rows[uid]
            image, label = png_array(files["image.png"]), png_array(files["label.png"])
            maps = npy_array(raw.read(uid)["maps.npy"])[row["powers"].index(masks.power)]
            heats = (enlarged(maps, image.shape).clip(0, 1) * 255).round().astype(np.uint8)
            shown = [sheets.heat(image, one) for one in heats[:3]]
            lines.append([image, labels.colourise(label), *shown])
            captions.append((f"{name}: {row['prompt']}", sheets.INK))
    return sheets.grid(lines, ["drawing", "mask", "first word", "second", "third"], captions=captions)


def segmentations_sheet(line: DatasetDiffusion) -> Any:
    """Photos of test with their labels and every variant's prediction, of the first seed."""
    from stages.parts.datasets.label_spaces import label_space
    from stages.parts.datasets.photo_shards import PhotoShards
    from stages.parts.drawing import sheets
    from stages.parts.store.samples import png_array
    from stages.parts.store.shards import Shards

    labels, photos = label_space(line.space), PhotoShards(Path(line.photos) / "test")
    predicted = {name: Shards(EVALUATED / f"{name}-{line.seeds[0]}" / "examples") for name in line.variants}
    lines = []
    for row in next(iter(predicted.values())).rows:
        files = photos.read(row["uid"])
        maps = [png_array(files["label.png"])]
        maps += [png_array(shards.read(row["uid"])["prediction.png"]) for shards in predicted.values()]
        lines.append([png_array(files["image.png"]), *(labels.colourise(each) for each in maps)])
    return sheets.grid(lines, ["photo of test", "truth", *predicted])


def page(result: Mapping[str, Mapping[str, Any]], seeds: Sequence[int]) -> str:
    """index.html: the table and the two sheets."""
    header, *rows = lines_of(result)
    cells = "\n".join(
        "<tr>" + "".join(f"<td>{html.escape(cell.strip())}</td>" for cell in row) + "</tr>" for row in rows
    )
    titles = "".join(f"<th>{html.escape(cell.strip())}</th>" for cell in header)
    return (
        "<!doctype html>\n<html lang='en'><meta charset='utf-8'><title>Dataset Diffusion</title>\n"
        "<style>body{font:15px sans-serif;margin:2em}td,th{padding:.2em .8em;text-align:right}</style>\n"
        f"<h1>Dataset Diffusion</h1>\n<p>{len(seeds)} seeds, mean ± standard deviation.</p>\n"
        f"<table><tr>{titles}</tr>\n{cells}\n</table>\n"
        "<h2>Drawings, masks, maps of the class words</h2>\n<img src='drawings.png' alt='drawings'>\n"
        "<h2>Photos of test</h2>\n<img src='segmentations.png' alt='segmentations'>\n</html>\n"
    )


if __name__ == "__main__":
    main()
