"""Mean and spread over seeds, and the tables made of them. All numbers are percent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

MEANS = {"base_mIoU": "base mean", "novel_mIoU": "novel mean", "mIoU": "mean of all"}

# A run is what evaluate measured of one segmenter on one split, with its classes; runs: recipe -> one per seed.
Run = Mapping[str, Any]
Runs = Mapping[str, Sequence[Run]]
# recipe -> measure -> {"mean", "std"} or None; "IoU" -> class -> the same; "seeds" -> how many there were.
Summary = dict[str, dict[str, Any]]
Row = dict[str, Any]


def spread(values: Sequence[float | None]) -> dict[str, float] | None:
    """Mean and sample standard deviation (ddof = 1; one seed: 0.0) over seeds, rounded to 2 decimals.

    None when a value is None: a class, or a group of classes, that the truth of the split lacks."""
    measured = [value for value in values if value is not None]
    if not measured or len(measured) < len(values):
        return None
    deviation = float(np.std(measured, ddof=1)) if len(measured) > 1 else 0.0
    return {"mean": round(float(np.mean(measured)), 2), "std": round(deviation, 2)}


def summary(runs: Runs) -> Summary:
    """Mean and std over the seeds of each recipe, of the three means and of every class's IoU.

    What evaluate left out (None: by default a class that the truth of the split lacks) is None here. A stray
    prediction of such a class lowers the IoU of the true class it misses, and adds no zero."""
    return {
        recipe: {
            "seeds": len(seeds),
            **{measure: spread([run[measure] for run in seeds]) for measure in ("mIoU", "base_mIoU", "novel_mIoU")},
            "IoU": {name: spread([run["IoU"][name] for run in seeds]) for name in seeds[0]["classes"]},
        }
        for recipe, seeds in runs.items()
    }


def headline(result: Summary) -> dict[str, dict[str, float | None]]:
    """What `dvc metrics` and `dvc exp show` tell: per recipe the three means in percent, and where there are several
    seeds their standard deviations, novel_std, base_std and std."""
    told: dict[str, dict[str, float | None]] = {}
    for recipe, measures in result.items():
        values = {measure: measures[measure] for measure in ("novel_mIoU", "base_mIoU", "mIoU")}
        told[recipe] = {measure: value["mean"] if value else None for measure, value in values.items()}
        if measures["seeds"] > 1:
            names = {measure: measure.replace("mIoU", "std") for measure in values}
            told[recipe] |= {names[measure]: value["std"] if value else None for measure, value in values.items()}
    return told


def restored(told: Mapping[str, Mapping[str, float | None]], rows: Sequence[Row], seeds: int) -> Summary:
    """The summary that a headline and the iou_rows of one split were made of, but for classes without an IoU."""
    names = list(dict.fromkeys(row["class"] for row in rows))
    result: Summary = {}
    for recipe, means in told.items():
        iou: dict[str, dict[str, float] | None] = dict.fromkeys(names)
        for row in rows:
            if row["recipe"] == recipe:
                iou[row["class"]] = {"mean": float(row["IoU"]), "std": float(row["std"])}
        measures: dict[str, Any] = {"seeds": seeds, "IoU": iou}
        for measure in MEANS:
            mean, deviation = means[measure], means.get(measure.replace("mIoU", "std"), 0.0)
            measures[measure] = None if mean is None else {"mean": mean, "std": deviation}
        result[recipe] = measures
    return result


def present(result: Summary, novel: Sequence[str]) -> list[str]:
    """The classes that have an IoU in some recipe: base classes by train id, then the novel ones. With evaluate.absent
    mmseg a class that the truth lacks is 0 where it was predicted, and nothing where it was not."""
    tables = [measures["IoU"] for measures in result.values()]
    names = [name for name in tables[0] if any(table[name] is not None for table in tables)]
    return [name for name in names if name not in novel] + [name for name in names if name in novel]


def comparison(result: Summary, novel: Sequence[str]) -> list[list[str]]:
    """The table as text cells, header first: per class and per mean the recipes' mean ± std, and what each gains.

    The gain is over `baseline`, or over the first recipe where there is no baseline. One seed has no spread to show."""
    reference = "baseline" if "baseline" in result else next(iter(result))
    header = ["IoU in %"]
    for recipe in result:
        header += [recipe] if recipe == reference else [recipe, "gain"]
    lines = [header]
    several = any(measures["seeds"] > 1 for measures in result.values())
    for name in present(result, novel):
        values = {recipe: measures["IoU"][name] for recipe, measures in result.items()}
        lines.append([f"{name} (novel)" if name in novel else name, *_cells(values, reference, several)])
    for measure, name in MEANS.items():
        values = {recipe: measures[measure] for recipe, measures in result.items()}
        lines.append([name, *_cells(values, reference, several)])
    return lines


def _cells(values: Mapping[str, dict[str, float] | None], reference: str, several: bool) -> list[str]:
    """ "mean ± std", or of one seed the mean alone, of each recipe, followed by its gain unless it is the reference;
    "-" where there is no value."""
    cells, base = [], values[reference]
    for recipe, value in values.items():
        deviation = f" ± {value['std']:.2f}" if value and several else ""
        cells.append(f"{value['mean']:.2f}{deviation}" if value else "-")
        if recipe != reference:
            cells.append(f"{value['mean'] - base['mean']:+.2f}" if value and base else "-")
    return cells


def aligned(lines: Sequence[Sequence[str]]) -> str:
    """The cells as text: the first column to the left, the others to the right, a rule below the header and above
    the means."""
    widths = [max(len(line[k]) for line in lines) for k in range(len(lines[0]))]
    rows = [
        "  ".join([line[0].ljust(widths[0]), *(cell.rjust(w) for cell, w in zip(line[1:], widths[1:], strict=True))])
        for line in lines
    ]
    rule = "-" * len(rows[0])
    return "\n".join([rows[0], rule, *rows[1 : -len(MEANS)], rule, *rows[-len(MEANS) :]])


def iou_rows(results: Mapping[str, Summary], novel: Sequence[str]) -> list[Row]:
    """One row per split, class and recipe that have an IoU: split, class, recipe, IoU, std."""
    rows = []
    for split, result in results.items():
        for name in present(result, novel):
            for recipe, measures in result.items():
                if (value := measures["IoU"][name]) is not None:
                    row = {"split": split, "class": name, "recipe": recipe, "IoU": value["mean"], "std": value["std"]}
                    rows.append(row)
    return rows


def shares(seeds: Sequence[Run]) -> tuple[list[str], np.ndarray]:
    """Names of the classes that occur in truth or prediction, and (C, C) float64: where each class's pixels go.

    Rows are the truth, in percent of the class's pixels summed over seeds; a class that the truth lacks has zeros."""
    matrix = np.array([run["confusion"] for run in seeds], dtype=np.float64).sum(axis=0)
    used = np.flatnonzero(matrix.sum(axis=0) + matrix.sum(axis=1))
    matrix = matrix[np.ix_(used, used)]
    totals = matrix.sum(axis=1, keepdims=True)
    return [seeds[0]["classes"][k] for k in used], 100 * np.divide(matrix, totals, where=totals > 0, out=matrix * 0)


def confusion_rows(runs: Runs) -> list[Row]:
    """One row per recipe, true class and predicted class: recipe, actual, predicted, percent (of actual's pixels)."""
    rows = []
    for recipe, seeds in runs.items():
        names, matrix = shares(seeds)
        for actual, line in zip(names, matrix, strict=True):
            cells = zip(names, line, strict=True)
            rows += [
                {"recipe": recipe, "actual": actual, "predicted": name, "percent": round(float(percent), 2)}
                for name, percent in cells
                if line.any()
            ]
    return rows


def thinned(curve: Sequence[Mapping[str, float]], points: int = 200) -> list[Row]:
    """At most `points` rows, each the mean of as many consecutive iterations: a plot needs no 40 000 of them."""
    size = -(-len(curve) // points) or 1
    blocks = [curve[start : start + size] for start in range(0, len(curve), size)]
    return [{name: float(f"{np.mean([row[name] for row in block]):.6g}") for name in block[0]} for block in blocks]
