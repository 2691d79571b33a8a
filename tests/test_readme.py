"""README and the pages that it leads to say what is there, and every number is that of its file."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stages.compare.line_tables import table_of
from stages.compare.measured import LINES as MEASURED
from stages.compare.measured import measured
from stages.compare.systems import BEGIN, END, LINES, block, markdown, systems, told_by
from stages.parts.world.backdrops import PLACES
from stages.parts.world.objects import SUBTYPES
from tests.test_params import comment, lines_of

ROOT = Path(__file__).parents[1]
README, PARAMS = (ROOT / "README.md").read_text(), (ROOT / "params.yaml").read_text()
REFERENCES = (ROOT / "docs/references.md").read_text()
LINE_PAGES = sorted((ROOT / "lines").glob("*/README.md"))
PAGES = [
    ROOT / "README.md",
    ROOT / "stages/README.md",
    *sorted(ROOT.glob("docs/*.md")),
    *sorted(ROOT.glob("lines/*/*.md")),
]
UCG = (ROOT / "lines/ucg/README.md").read_text()
PUBLISHED = (
    r"published|diffusers' switch|as in crf|as UCG|LOG.md|UCG: |OVAM|DAFormer: |DACS: |HRDA: |MIC: |NCDSS: |UCG makes"
)


def tags(text: str) -> set[str]:
    return set(re.findall(r"\[([A-Z][A-Za-z ]+)\]", text))


def metrics(name: str) -> Any:
    return json.loads((ROOT / "metrics" / name).read_text())


def test_every_value_says_where_it_is_from() -> None:
    known = "|".join(re.escape(f"[{tag}") for tag in [*tags(REFERENCES), "ours]"])
    for key, line in lines_of(PARAMS).items():
        assert re.search(f"{known}|{PUBLISHED}", comment(line)), f"params.yaml: no source of {key}"


def test_every_tag_of_a_comment_is_explained_above_and_in_the_references() -> None:
    legend = "\n".join(line for line in PARAMS.splitlines()[:8] if line.startswith("#"))
    used = set().union(*(tags(comment(line)) for line in lines_of(PARAMS).values()))
    assert used <= tags(legend) and used <= tags(REFERENCES)


@pytest.mark.parametrize("kind", SUBTYPES)
def test_the_readme_lists_the_words_that_the_small_model_knows(kind: str) -> None:
    known = README.partition("| class | subtypes |")[2].partition("Places:")[0]
    (line,) = [line for line in known.splitlines() if line.startswith(f"| {kind} |")]
    said = [word.strip() for word in line.split("|")[2].removesuffix(f"{kind} ").split(",")]
    assert [f"{word} {kind}" for word in said] == list(SUBTYPES[kind])


def test_the_readme_lists_the_places_that_the_small_model_knows() -> None:
    said = " ".join(README.partition("\nPlaces: ")[2].partition("\n\n")[0].split()).rstrip(".")
    city, rest = said.split(";", 1)
    names = [f"in the {word.removeprefix('in the ').strip()}" for word in city.split(",")]
    assert sorted([*names, *(word.strip() for word in rest.split(";"))]) == sorted(PLACES)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_files_that_a_page_names_or_links_to_are_there(page: Path) -> None:
    text = page.read_text()
    named = re.findall(r"`((?:data/prompts|stages|metrics|lines|docs)/[a-z0-9_/-]+\.[a-z]+|[A-Z]+\.md)`", text)
    linked = [
        link.partition("#")[0] for link in re.findall(r"\]\(([^)]+)\)|^\[\w+\]: (\S+)$", text, re.M) for link in link
    ]
    there = [*(ROOT / name for name in named), *(page.parent / link for link in linked if link and "://" not in link)]
    assert [path for path in there if not path.exists() and "dataset_diffusion/summary" not in str(path)] == []


def test_the_readme_is_read_in_two_minutes() -> None:
    lines = README.splitlines()
    assert len(lines) <= 150 and max(map(len, lines)) <= 110


@pytest.mark.parametrize("page", LINE_PAGES, ids=lambda page: page.parent.name)
def test_the_page_of_a_line_fits_a_screen_and_the_readme_leads_to_it(page: Path) -> None:
    assert len(page.read_text().splitlines()) <= 60
    assert f"({page.relative_to(ROOT).as_posix()})" in README


def between(text: str) -> str:
    return text.partition(f"{BEGIN}\n")[2].partition(END)[0].strip()


def test_the_table_of_the_readme_is_that_of_the_summaries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    assert between(README) == block(*systems())


@pytest.mark.parametrize("line", LINES, ids=lambda line: line.folder)
def test_the_table_of_a_line_is_that_of_its_summary(monkeypatch: pytest.MonkeyPatch, line: Any) -> None:
    monkeypatch.chdir(ROOT)
    told = told_by(line)
    written = between((ROOT / f"lines/{line.folder}/README.md").read_text())
    assert written == (markdown(table_of(line, told)) if told else "")


@pytest.mark.parametrize("line", MEASURED)
def test_what_was_measured_beside_a_line_is_its_file(monkeypatch: pytest.MonkeyPatch, line: str) -> None:
    monkeypatch.chdir(ROOT)
    found = measured(line)
    assert found and between((ROOT / f"lines/{line}/measured.md").read_text()) == markdown(list(MEASURED[line](found)))


@pytest.mark.parametrize("recipe", ["baseline", "grafted"])
def test_the_classes_of_one_seed_are_those_of_iou_csv(recipe: str) -> None:
    with open(ROOT / "metrics/iou.csv", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == "test" and row["recipe"] == recipe]
    cells = [f"{float(row['IoU']):.1f}" for row in rows]
    assert f"| {recipe} | {' | '.join(cells)} |" in UCG
    header = next(line for line in UCG.splitlines() if line.startswith("| | road"))
    assert [name.strip(" *") for name in header.split("|")[2:-1]] == [row["class"] for row in rows]


def test_the_seeds_and_the_controls_are_those_of_their_files() -> None:
    text, seeds, controls = " ".join(UCG.split()), metrics("seeds.json")["test"], metrics("controls.json")["test"]
    assert f"seed by seed: {', '.join(f'{value:.1f}' for value in seeds['grafted']['novel_of_each'])}." in text
    blobs, shuffled = (f"{controls[name]['novel_mIoU']:.1f}" for name in ("blobs", "shuffled"))
    assert f"reach a novel mean of {blobs}," in text and f"class names shuffled {shuffled}." in text


@pytest.mark.parametrize("method", ["source_only", "dacs", "daformer", "mic"])
def test_the_methods_are_those_of_their_file(method: str) -> None:
    table = metrics("compare/methods.json")

    def cell(recipe: str, mean: str) -> str:
        values = [run[mean] for run in table[f"{method}, {recipe}"].values()]
        return f"{np.mean(values):.1f} ± {np.std(values, ddof=1):.1f}"

    cells = [cell("baseline", "base_mIoU"), cell("grafted", "base_mIoU"), cell("grafted", "novel_mIoU")]
    measured = (ROOT / "lines/ucg/measured.md").read_text()
    (line,) = [line for line in measured.splitlines() if re.match(rf"\| \**{method}\**[ ,]", line)]
    assert line.endswith(f"| {' | '.join(cells)} |")
