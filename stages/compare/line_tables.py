"""The table of one line: its rows and measures as its summary has them, for its README and for the page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from stages.compare.systems import (
    DATASET,
    LINES,
    NCDSS,
    PRIMAPS,
    UCG,
    Line,
    figure,
    markdown,
    replaced,
    shown,
    told_by,
)
from stages.parts.store.atomic import write_changed

Keys = Sequence[str]
# The keys that lead to a row of a summary, and from there to its measures, each measure with its title.
ROWS: dict[str, list[Keys]] = {
    UCG.title: [("baseline",), ("grafted",)],
    PRIMAPS.title: [
        *(("streets", row) for row in ("baseline", "em", "em_crf", "probe", "ceiling")),
        *(("photos", row) for row in ("baseline", "em")),
    ],
    NCDSS.title: [
        (row,)
        for row in (
            "basic",
            "basic_long",
            "basic_overclustered",
            "basic_overclustered_one_to_one",
            "eums",
            "eums_named",
            "cutouts",
            "both",
            "supervised",
        )
    ],
    DATASET.title: [(row,) for row in ("plainest", "full", "full_selftrained", "supervised")],
}
MEASURES: dict[str, dict[str, Keys]] = {
    UCG.title: {"base mIoU": ("base_mIoU",), "novel mIoU": ("novel_mIoU",)},
    PRIMAPS.title: {"mIoU": ("mIoU",), "accuracy": ("Acc",)},
    NCDSS.title: {"novel mIoU": ("novel_mIoU",), "base mIoU": ("base_mIoU",), "mIoU": ("mIoU",)},
    DATASET.title: {"mIoU on val": ("val", "mIoU"), "mIoU on test": ("test", "mIoU")},
}


def table_of(line: Line, told: Mapping[str, Any]) -> list[list[str]]:
    """Header and rows as text cells, mean ± std in percent; a row of which the summary has nothing is left out."""
    lines = [["", *MEASURES[line.title]]]
    for keys in ROWS[line.title]:
        values = [figure(told, [*keys, *measure]) for measure in MEASURES[line.title].values()]
        if any(values):
            lines.append([" ".join(keys), *(shown(value) if value else "–" for value in values)])
    return lines


def write_readmes() -> None:
    """Put each line's table between the marks of its README. A line that has not run keeps the sentence there."""
    for line in LINES:
        readme = Path(f"lines/{line.folder}/README.md")
        if readme.is_file() and (told := told_by(line)):
            write_changed(readme, replaced(readme.read_text(), markdown(table_of(line, told)), readme))
