"""The page of all lines shows what stands, the worst pictures too, and can be read by everybody."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from stages.compare.__main__ import main
from stages.compare.failures import OF_LINE, share_right, worst_sheet
from stages.compare.systems import LINES
from stages.parts.drawing.sheets import GAP, LINE, TILE
from stages.report.__main__ import main as report
from tests.compare.test_systems import SUMMARIES, write
from tests.report.conftest import line  # noqa: F401  (a finished root line)

BROWSER = next((found for name in ("chromium", "google-chrome") if (found := shutil.which(name))), None)
# Appended to a copy of the page: how many pictures have not loaded, and whether the page is wider than the window.
LOOK = """<script>addEventListener("load", () => { document.title = [[...document.images].filter(one =>
!one.naturalWidth).length, document.documentElement.scrollWidth - innerWidth].join(" ") })</script>"""


class Outline(HTMLParser):
    """The headings' levels, the pictures' attributes, and the names of all elements of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.headings: list[int] = []
        self.pictures: list[dict[str, str | None]] = []
        self.names: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        if re.fullmatch("h[1-6]", tag):
            self.headings.append(int(tag[1]))
        if tag == "img":
            self.pictures.append(dict(attrs))


@pytest.fixture
def page(line: Path) -> Path:  # noqa: F811
    """The page of a repo in which the root line has run, and of PriMaPs-EM the summary is there."""
    report([])
    write(line, "primaps/summary.json", SUMMARIES["primaps/summary.json"])
    main(["page"])
    return line / "data/report/index.html"


def test_every_line_has_its_section_and_one_that_has_not_run_says_how(page: Path) -> None:
    text = page.read_text()
    assert re.findall(r'<h2 id="(\w+)">', text) == [one.folder for one in LINES]
    ncdss = text.partition('<h2 id="ncdss">')[2].partition("</section>")[0]
    assert "It has not run here: <code>dvc repro lines/ncdss/dvc.yaml</code>" in ncdss and "<img" not in ncdss
    primaps = text.partition('<h2 id="primaps">')[2].partition("</section>")[0]
    assert "28.5 ± 0.2" in primaps and "failures" not in primaps, "its pictures are not here"


def test_every_picture_is_there_and_said_in_words(page: Path) -> None:
    outline = Outline(page.read_text())
    sources = [str(one["src"]) for one in outline.pictures]
    assert sources == ["../../metrics/overview.png", "ucg/segmentations.png", "failures/ucg.png"]
    assert all((page.parent / source).is_file() for source in sources)
    assert all(len(one["alt"] or "") > 20 and one["width"] and one["height"] for one in outline.pictures)


def test_headings_are_in_order_and_nothing_comes_from_elsewhere(page: Path) -> None:
    text = page.read_text()
    outline = Outline(text)
    assert outline.headings[0] == 1 and outline.headings.count(1) == 1
    assert all(after <= before + 1 for before, after in zip(outline.headings, outline.headings[1:], strict=False))
    assert not {"script", "iframe", "object"} & set(outline.names) and "http" not in text
    assert '<html lang="en">' in text and "width=device-width" in text


def test_its_colours_can_be_told_from_the_background(page: Path) -> None:
    """WCAG AA asks 4.5 of text."""
    for colour in re.findall(r"[^-]color: #([0-9a-f]{3,6})", page.read_text()):
        channels = [int(colour[k], 16) / 15 for k in range(3)] if len(colour) == 3 else [
            int(colour[k : k + 2], 16) / 255 for k in (0, 2, 4)
        ]  # fmt: skip
        linear = [value / 12.92 if value <= 0.03928 else ((value + 0.055) / 1.055) ** 2.4 for value in channels]
        assert 1.05 / (np.dot(linear, [0.2126, 0.7152, 0.0722]) + 0.05) >= 4.5


def test_the_worst_picture_is_first_and_unlabelled_pixels_do_not_count() -> None:
    truth = np.zeros((4, 4), np.uint8)
    truth[0] = 255
    wrong = {"half": truth.copy(), "none": truth.copy(), "all": truth.copy()}
    wrong["half"][1:, :2] = 1
    wrong["all"][1:] = 1
    wrong["none"][0] = 1
    assert [share_right(truth, wrong[name]) for name in ("none", "half", "all")] == [1.0, 0.5, 0.0]
    assert share_right(np.full((2, 2), 255, np.uint8), truth[:2, :2]) == 1.0
    colours = np.zeros((256, 3), np.uint8)
    colours[1] = (0, 250, 0)
    image = np.zeros((4, 4, 3), np.uint8)
    sheet = worst_sheet(((name, image, truth, found) for name, found in wrong.items()), colours, 2)
    step = TILE + GAP + LINE
    assert len(sheet) == LINE + 2 * step
    green = [(sheet[LINE + k * step : LINE + (k + 1) * step] == (0, 250, 0)).all(axis=2).sum() for k in range(2)]
    assert green[0] == 2 * green[1] > 0


def test_every_line_has_failures_to_show() -> None:
    assert list(OF_LINE) == [one.folder for one in LINES]


@pytest.mark.slow
@pytest.mark.skipif(BROWSER is None, reason="there is no chromium on this machine")
@pytest.mark.parametrize("width", [400, 1300])
def test_a_browser_loads_it_whole_without_complaint(page: Path, width: int) -> None:
    looked = page.with_name("looked.html")
    looked.write_text(page.read_text().replace("</body>", f"{LOOK}</body>"))
    command = [
        str(BROWSER), "--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr",
        f"--window-size={width},2000", "--virtual-time-budget=5000", "--dump-dom", looked.as_uri(),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0 and "CONSOLE" not in done.stderr and "ERR_FILE_NOT_FOUND" not in done.stderr
    title = re.search(r"<title>(-?\d+) (-?\d+)</title>", done.stdout)
    assert title and int(title[1]) == 0 and int(title[2]) <= 0, json.dumps(title and title.groups())
