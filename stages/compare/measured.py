"""The tables of what was measured beside a line, in lines/LINE/measured.md: ablations, controls, harder settings.

metrics/compare/LINE.json has the figures; metrics/by_hand.json says what command made them, at what commit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from stages.compare.line_tables import MEASURES
from stages.compare.systems import NCDSS, figure, markdown, replaced, shown
from stages.parts.store.atomic import write_changed
from stages.parts.store.documents import read_json

Lines = Iterator[list[str]]


def write_measured() -> None:
    """Put each table between the marks of its page. A line that nothing was measured beside keeps what stands there."""
    for line, lines in LINES.items():
        page = Path(f"lines/{line}/measured.md")
        if page.is_file() and (found := measured(line)):
            write_changed(page, replaced(page.read_text(), markdown(list(lines(found))), page))


def measured(line: str) -> Mapping[str, Any] | None:
    """What metrics/compare has of a line; None where it has nothing."""
    path = Path(f"metrics/compare/{line}.json")
    found: Mapping[str, Any] | None = read_json(path, "see it in git") if path.is_file() else None
    return found


def variants(found: Mapping[str, Any]) -> Lines:
    """Dataset Diffusion: a row for each variant."""
    yield ["variant", "mIoU on val", "mIoU on test"]
    for name, splits in found.items():
        yield [name, *(shown(splits[split]) for split in ("val", "test"))]


def networks(found: Mapping[str, Any]) -> Lines:
    """NCDSS: a row for each change and network."""
    measures = MEASURES[NCDSS.title]
    yield ["row", "network", *measures]
    for name, told in found.items():
        for network in told:
            scores = {title: figure(told, (network, *keys)) for title, keys in measures.items()}
            if scores["novel mIoU"]:
                yield [name, network, *(shown(score) if score else "–" for score in scores.values())]


def parts(found: Mapping[str, Any]) -> Lines:
    """PriMaPs-EM: a row for each part that was changed, k-means and EM over the seeds."""
    yield ["row", "set", "ceiling", "k-means", "EM", "gain"]
    for title, rows in found.items():
        for name, told in rows.items():
            each = [[seed[0] for seed in told[way]] for way in ("k-means", "EM")]
            yield [name, title, f"{told['ceiling']:.1f}", *map(spread, (*each, told["gain"]))]


def spread(values: Sequence[float]) -> str:
    """Mean ± std; of one seed its value."""
    return shown({"mean": mean(values), "std": stdev(values)}) if len(values) > 1 else f"{values[0]:.1f}"


LINES: dict[str, Callable[[Mapping[str, Any]], Lines]] = {
    "dataset_diffusion": variants,
    "ncdss": networks,
    "primaps": parts,
}
