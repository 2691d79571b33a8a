"""The page of all lines: a section for each, with its table, its pictures and its failures.

It is no output of a stage: it shows what stands, and a line that has not run is a sentence. The pictures that the lines
have drawn stay where they are, linked by relative paths; the sheets of failures are drawn here, beside the page.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from PIL import Image

from stages.compare.line_tables import table_of
from stages.compare.systems import DATASET, HEADER, LINES, NCDSS, PRIMAPS, UCG, Line, Row, cells_of, told_by
from stages.parts.drawing import sheets
from stages.parts.errors import GraftError
from stages.parts.sections import read
from stages.parts.store.atomic import write_whole
from stages.parts.store.pictures import png_bytes
from stages.preflight import Params

FOLDER = Path("data/report")
ABOUT = {
    UCG.title: "Classes added by naming them: drawn, cut out, cleaned, pasted into labelled streets that lack them.",
    PRIMAPS.title: "No label at all: regions of a frozen backbone's features, named by clusters that a teacher fits.",
    NCDSS.title: "Classes that the labels lack: salient regions, clustered; then with the cutouts of the root line as "
    "names and prior.",
    DATASET.title: "A labelled dataset drawn from captions: masks from the attention of the class words.",
}
FAILURES = "{}: the pictures of which the fewest pixels are right, the worst first"
# What each line has drawn: file -> what is seen.
PICTURES: dict[str, dict[str, str]] = {
    UCG.title: {
        "metrics/overview.png": "From words to a segmenter: prompt, drawing, attention, mask, cutout, the street it is "
        "pasted into, and segmentations",
        "data/report/ucg/segmentations.png": "Pictures of test with the most of each new class: picture, truth, and "
        "what each recipe predicts",
    },
    NCDSS.title: {"data/ncdss/report/predictions.png": "Photos of test: picture, truth, and what each row predicts"},
    DATASET.title: {
        "data/dataset_diffusion/report/drawings.png": "Drawings, their masks, and the maps of their class words",
        "data/dataset_diffusion/report/segmentations.png": "Photos of test: picture, truth, and what each variant "
        "predicts",
    },
    PRIMAPS.title: {
        "data/report/primaps.png": "Streets of test: picture, proposals each in a colour of its own, truth, "
        "the clusters of k-means, and of EM"
    },
}
PAGES = {
    UCG.title: "data/report/ucg/index.html", NCDSS.title: "data/ncdss/report/index.html",
    DATASET.title: "data/dataset_diffusion/report/index.html",
}  # fmt: skip


def write_page(rows: Sequence[Row]) -> Path:
    """Write data/report/index.html and the sheets beside it; where."""
    parts = [part_of(line) for line in LINES]
    environment = Environment(
        loader=PackageLoader("stages.compare", "."), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True, keep_trailing_newline=True,
    )  # fmt: skip
    overview = [list(HEADER), *(cells_of(row) for row in rows)]
    text = environment.get_template("page.html").render(parts=parts, overview=overview)
    write_whole(FOLDER / "index.html", text)
    return FOLDER / "index.html"


def part_of(line: Line) -> dict[str, Any]:
    """What the template asks of a line: without a table it has not run."""
    told = told_by(line)
    part = {"folder": line.folder, "title": line.title, "about": ABOUT[line.title], "file": line.file, "table": None}
    if told is None:
        return part
    from stages.compare.failures import failures_sheet  # here, as torch loads with it
    from stages.compare.primaps_pictures import pictures_sheet

    if line is PRIMAPS:
        draw(FOLDER / "primaps.png", lambda: pictures_sheet(read(Params)))
    worst, more = FOLDER / "failures" / f"{line.folder}.png", Path(PAGES.get(line.title, "."))
    draw(worst, lambda: failures_sheet(line.folder))
    return part | {
        "table": table_of(line, told),
        "pictures": [picture(Path(file), alt) for file, alt in PICTURES[line.title].items() if Path(file).is_file()],
        "failures": picture(worst, FAILURES.format(line.title)) if worst.is_file() else None,
        "more": os.path.relpath(more, FOLDER) if more.is_file() else None,
    }


def draw(path: Path, sheet: Callable[[], sheets.Picture]) -> None:
    """Write it; where what it is drawn from is not here (`dvc pull`), there is none, an old one neither."""
    try:
        write_whole(path, png_bytes(sheet()))
    except (GraftError, OSError):
        path.unlink(missing_ok=True)


def picture(path: Path, alt: str) -> dict[str, Any]:
    with Image.open(path) as opened:
        width, height = opened.size
    return {"source": os.path.relpath(path, FOLDER), "alt": alt, "width": width, "height": height}
