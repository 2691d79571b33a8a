"""The four published systems in one table: what each has learned here, beside what its paper reports.

A line of the table is read from the summary that its DVC line has written; nothing is measured here. The paper's
figures are those that were seen in a published table or abstract; what is only remembered is left out.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import fill
from typing import Any

from stages.parts.errors import GraftError
from stages.parts.store.atomic import write_whole
from stages.parts.store.documents import read_json

METRICS = Path("metrics")
TABLE, GAINS, README = METRICS / "systems.json", METRICS / "gains.json", Path("README.md")
BEGIN, END = "<!-- made by `python -m stages.compare systems` -->", "<!-- end of the table -->"
HEADER = ("system", "needs from people", "set, measure", "baseline", "result", "gain", "paper")
WIDTH = 110  # letters of a line of README.md

Figure = dict[str, float]  # mean and std, in percent
Row = dict[str, Any]  # one of metrics/systems.json


@dataclass(frozen=True)
class Paper:
    """mIoU in percent as published; None where no source was seen."""

    baseline: float | None = None
    result: float | None = None

    def row(self) -> dict[str, float | None]:
        gain = None
        if self.baseline is not None and self.result is not None:
            gain = round(self.result - self.baseline, 2)
        return {"baseline": self.baseline, "result": self.result, "gain": gain}


@dataclass(frozen=True)
class Line:
    """A DVC line: where its summary stands, how it is run, the folder of lines/ that describes it, and the link of
    README.md to that."""

    title: str
    summary: Path
    file: str
    folder: str
    link: str


@dataclass(frozen=True)
class Entry:
    """One line of the table. `baseline` and `result`: the keys that lead to a figure; of several results the first
    that the summary has."""

    line: Line
    system: str
    needs: str
    set: str
    baseline: Sequence[str]
    results: Sequence[Sequence[str]]
    paper: Paper = field(default_factory=Paper)


UCG = Line("UCG", METRICS / "summary.json", "dvc.yaml", "ucg", "ucg")
PRIMAPS = Line("PriMaPs-EM", METRICS / "primaps/summary.json", "lines/primaps/dvc.yaml", "primaps", "primaps")
NCDSS = Line("EUMS", METRICS / "ncdss/summary.json", "lines/ncdss/dvc.yaml", "ncdss", "ncdss")
DATASET = Line(
    "Dataset Diffusion",
    METRICS / "dataset_diffusion/summary.json",
    "lines/dataset_diffusion/dvc.yaml",
    "dataset_diffusion",
    "dd",
)
LINES = (UCG, PRIMAPS, NCDSS, DATASET)
_DRAWN = [(name, "test", "mIoU") for name in ("full", "full_selftrained")]  # self-training was worse on val
# Papers: UCG's abstract; Hahn et al., Cityscapes, DINO ViT-S/8; Zhao et al., mean of PASCAL-5i's folds; Nguyen et al.,
# VOC val, DeepLabV3 with ResNet-101.
ENTRIES = (
    Entry(UCG, "UCG", "base labels, words", "streets, novel mIoU", ("baseline", "novel_mIoU"),
          [("grafted", "novel_mIoU")], Paper(result=51.0)),
    Entry(UCG, "UCG", "base labels, words", "streets, base mIoU", ("baseline", "base_mIoU"),
          [("grafted", "base_mIoU")]),
    Entry(PRIMAPS, "PriMaPs-EM", "nothing", "streets, mIoU", ("streets", "baseline", "mIoU"),
          [("streets", "em", "mIoU")], Paper(15.8, 19.4)),
    Entry(PRIMAPS, "PriMaPs-EM", "nothing", "photos, mIoU", ("photos", "baseline", "mIoU"),
          [("photos", "em", "mIoU")]),
    Entry(NCDSS, "EUMS", "base labels", "photos, novel mIoU", ("basic", "novel_mIoU"), [("eums", "novel_mIoU")],
          Paper(49.81, 59.09)),
    Entry(NCDSS, "EUMS + cutouts", "base labels, words", "photos, novel mIoU", ("basic", "novel_mIoU"),
          [("both", "novel_mIoU")]),
    Entry(DATASET, "Dataset Diffusion", "words", "photos, mIoU", ("plainest", "test", "mIoU"), _DRAWN),
    Entry(DATASET, "Dataset Diffusion", "words", "photos, mIoU; to labels", ("supervised", "test", "mIoU"),
          _DRAWN, Paper(79.9, 64.8)),
)  # fmt: skip


def write_systems() -> str:
    """Write metrics/systems.json, metrics/gains.json and the table of README.md; the table and what it lacks, as text.

    GraftError when no line has run."""
    rows, missing = systems()
    if not rows:
        raise GraftError("no line has run yet: metrics has no summary; run `make lines`")
    write_whole(TABLE, json.dumps(rows, indent=1, ensure_ascii=False) + "\n")
    # DVC's metrics are tables, and a list is none: what `dvc metrics diff` compares is the gain of each row.
    gains = {f"{row['system']}, {row['set']}": row["gain"] for row in rows}
    write_whole(GAINS, json.dumps(gains, indent=1, ensure_ascii=False) + "\n")
    if README.is_file():
        write_whole(README, replaced(README.read_text(), block(rows, missing)))
    return block(rows, missing)


def systems() -> tuple[list[Row], list[str]]:
    """The rows that can be read, in order, and a sentence for each line that has not run and each row that it lacks."""
    found = {line.title: told_by(line) for line in LINES}
    missing = [
        f"{line.title} has not run: `dvc repro {line.file}` makes {line.summary.name}."
        for line in LINES
        if found[line.title] is None
    ]
    rows = []
    for entry in ENTRIES:
        if (told := found[entry.line.title]) is None:
            continue
        baseline = figure(told, entry.baseline)
        result = next((value for keys in entry.results if (value := figure(told, keys))), None)
        if baseline and result:
            rows.append(row_of(entry, baseline, result))
        else:
            lacking = ".".join(entry.results[-1] if baseline else entry.baseline)
            missing.append(f"{entry.system} on {entry.set}: {entry.line.summary} has no {lacking}.")
    return rows, missing


def told_by(line: Line) -> Mapping[str, Any] | None:
    """The summary of a line, every figure of it with its mean and std; None when the line has not run."""
    if not line.summary.is_file():
        return None
    told: Mapping[str, Any] = read_json(line.summary, f"run `dvc repro {line.file}`")
    if line is not UCG:
        return told
    seeds = METRICS / "seeds.json"
    several = read_json(seeds, f"delete it, or see {seeds} in git")["test"] if seeds.is_file() else None
    if several and all(of_this_line(several.get(recipe), told[recipe]) for recipe in told):
        return several
    measures = {"novel_mIoU": "novel_std", "base_mIoU": "base_std"}
    return {
        recipe: {
            name: {"mean": headline[name], "std": headline.get(std, 0.0)}
            for name, std in measures.items()
            if headline.get(name) is not None
        }
        for recipe, headline in told.items()
    }


def of_this_line(several: Mapping[str, Any] | None, headline: Mapping[str, Any]) -> bool:
    """Whether the seeds that were run by hand are of the line that stands: its one seed is the first of them."""
    if not several:
        return False
    each = {"novel_mIoU": several["novel_of_each"], "base_mIoU": several["base_of_each"]}
    return all(abs(values[0] - headline[name]) < 0.01 for name, values in each.items())


def figure(told: Mapping[str, Any], keys: Sequence[str]) -> Figure | None:
    """What the keys lead to, if it is a mean with a std."""
    value: Any = told
    for key in keys:
        value = value.get(key) if isinstance(value, Mapping) else None
    known = isinstance(value, Mapping) and {"mean", "std"} <= value.keys()
    return {"mean": value["mean"], "std": value["std"]} if known else None


def row_of(entry: Entry, baseline: Figure, result: Figure) -> Row:
    return {
        "system": entry.system,
        "set": entry.set,
        "needs": entry.needs,
        "baseline": baseline,
        "result": result,
        "gain": round(result["mean"] - baseline["mean"], 2),
        "paper": entry.paper.row(),
    }


def block(rows: Sequence[Row], missing: Sequence[str]) -> str:
    """The table in Markdown, then the sentences about what is missing."""
    links = {entry.system: entry.line.link for entry in ENTRIES}
    linked = [[f"[{row['system']}][{links[row['system']]}]", *cells_of(row)[1:]] for row in rows]
    lines: list[Sequence[str]] = [HEADER, *linked]
    return "\n".join([markdown(lines), *(f"\n{fill(sentence, WIDTH)}" for sentence in missing)])


def cells_of(row: Row) -> list[str]:
    """A row as text, in the order of HEADER."""
    paper = row["paper"]
    published = " → ".join(f"{value:.1f}" for value in (paper["baseline"], paper["result"]) if value is not None)
    cells = [row["system"], row["needs"], row["set"], shown(row["baseline"]), shown(row["result"])]
    return [*cells, f"{row['gain']:+.1f}", published or "–"]


def markdown(lines: Sequence[Sequence[str]]) -> str:
    """A table, its header first."""
    header, *rows = (f"| {' | '.join(cells)} |" for cells in lines)
    return "\n".join([header, f"|{'---|' * len(lines[0])}", *rows])


def shown(value: Figure) -> str:
    return f"{value['mean']:.1f} ± {value['std']:.1f}"


def replaced(text: str, inside: str, path: Path = README) -> str:
    """The text with other words between the two marks. GraftError when it lacks one of them."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise GraftError(f"{path} lacks the marks of its table; put these lines where it belongs: {BEGIN} and {END}")
    return f"{before}{BEGIN}\n{inside}\n{END}{after}"
