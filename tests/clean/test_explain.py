"""explain: the counts are the verdicts', the sheet shows what lies nearest to a threshold, files are drawn."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from stages.clean.contact import GAP, RIGHT, SHOWN, TEXT, TILE, See, lines, nearest, sheet
from stages.clean.explain import counts, figure, histograms
from stages.clean.kinds import Limit
from stages.clean.rules import RULES, Verdicts, active, judge
from stages.clean.table import Table

ROOT = Path(__file__).parents[2]
AREAS = (0.1, 0.39, 0.41, 0.5, 0.2, 0.9)


def table() -> Table:
    reasons = [""] * len(AREAS) + ["empty_seed"]
    areas = np.array([*AREAS, np.nan])
    uids, bits = [f"bus-{k:06d}" for k in range(7)], np.array([0, 1, 3, 7, 0, 255, 0], np.uint64)
    return Table(uids, reasons, {"area": areas, "stability": areas}, bits, np.arange(7) < 6)


def of(values: dict[str, float]) -> tuple[Table, Verdicts, dict[str, float]]:
    return table(), judge(table(), values), values


LARGE = next(rule for rule in RULES if rule.code == "large")
VALUES = {"max_area": 0.4, "min_area": 0.15}


def test_counts_are_those_of_the_verdicts_and_say_what_they_count() -> None:
    """Two of the four that area_tails would reject alone are gone before its turn."""
    values = {"max_area": 0.4, "min_area": 0.15, "area_tails": 0.4}
    told = [line.split() for line in counts(judge(table(), values), values).splitlines()]
    assert told[0] == ["rule", "threshold", "first", "alone"]
    assert told[1] == ["large", "max_area", "0.4", "3", "3"]
    assert told[2] == ["small", "min_area", "0.15", "1", "1"]
    assert told[3] == ["unusual", "area_tails", "0.4", "2", "4"]
    assert told[4] == ["empty_seed", "came", "with", "it", "1"]
    assert " ".join(told[5]).startswith("first: rejected by this rule in its turn; alone: would be rejected if")
    assert told[6] == ["kept", "0", "of", "7"]


def test_the_nearest_come_first_on_each_side() -> None:
    assert isinstance(LARGE, Limit)
    assert nearest(table(), LARGE, 0.4, table().measured) == ([1, 4, 0], [2, 3, 5])
    assert nearest(table(), LARGE, 0.4, table().measured, count=1) == ([1], [2])


def test_rules_that_compare_samples_have_a_line_of_their_nearest_too() -> None:
    values = {"max_area": 0.45, "min_distance": 2, "max_count": 1}
    (_, *large, _), (repeats, *repeated, bits), (words, *surplus, _) = lines(*of(values))
    assert large == [[2, 1, 4, 0], [3, 5]]
    assert "below 2" in repeats and repeated == [[2], [1, 4]] and bits[[1, 2, 4]].tolist() == [1, 2, 0]
    assert words == "surplus: stability below 0.41 is rejected" and surplus == [[2], [0]]


@pytest.fixture
def seen() -> list[str]:
    return []


@pytest.fixture
def see(seen: list[str]) -> See:
    """Each sample is of one colour: ten times its number, and 100."""

    def look(uid: str) -> tuple[np.ndarray, np.ndarray]:
        seen.append(uid)
        return np.full((8, 16, 3), 100 + 10 * int(uid[-1]), np.uint8), np.full((8, 16), 255, np.uint8)

    return look


def tile(picture: np.ndarray, line: int, place: int) -> np.ndarray:
    """The pixels of a tile; places from 0 are kept, from SHOWN on rejected."""
    side, column = divmod(place, SHOWN)
    left = side * RIGHT + column * (TILE + GAP)
    top = line * (TILE + 3 * TEXT + GAP) + TEXT
    return picture[top : top + TILE, left : left + TILE]


def test_kept_samples_are_on_the_left_and_rejected_on_the_right_and_no_other_is_asked_for(
    see: See, seen: list[str]
) -> None:
    picture = sheet(*of(VALUES), see)
    middle = [int(tile(picture, 0, place)[TILE // 2, TILE // 2, 0]) for place in range(2 * SHOWN)]
    assert middle == [110, 140, 100, 255, 255, 120, 130, 150, 255, 255]
    assert "bus-000006" not in seen and len(seen) == 12
    below = picture[TEXT + TILE : 3 * TEXT + TILE].astype(int)
    greener = below[..., 1] - below[..., 0]
    assert (greener[:, :RIGHT] > 60).any() and not (greener[:, :RIGHT] < -60).any()
    assert (greener[:, RIGHT:] < -60).any() and not (greener[:, RIGHT:] > 60).any()


def test_an_image_that_is_not_square_is_not_stretched(see: See) -> None:
    pixels = tile(sheet(*of(VALUES), see), 0, 0)[..., 0] == 110
    assert pixels.any(axis=1).sum() == TILE // 2 and pixels.any(axis=0).sum() == TILE


def test_each_tile_has_its_uid_and_its_score(see: See) -> None:
    """Both lines below a tile are written on, and another uid is another line."""
    picture = sheet(*of(VALUES), see)
    first, second = (picture[TEXT + TILE :, k * (TILE + GAP) :][: 2 * TEXT, :TILE] for k in (0, 1))
    assert (first[:TEXT] < 200).any() and (first[TEXT:] < 200).any()
    assert (first[:TEXT] != second[:TEXT]).any() and (first[TEXT:] != second[TEXT:]).any()


def test_with_no_rule_on_the_sheet_shows_the_extremes_of_every_score(see: See) -> None:
    shown = lines(*of({}))
    assert [words.split(":")[0] for words, *_ in shown] == ["area", "stability", "phash, bits from the nearest before"]
    assert shown[0][1:3] == ([0, 4, 1, 2, 3], [5, 3, 2, 1, 4])
    assert (sheet(*of({}), see) < 200).any()


def titled(values: dict[str, float]) -> dict[str, Axes]:
    return {axis.get_title().replace("\n", " "): axis for axis in figure(*of(values)).axes if axis.get_title()}


def cuts(axis: Axes) -> list[float]:
    return [float(np.asarray(line.get_xdata())[0]) for line in axis.lines]


def test_every_score_has_a_histogram_and_a_line_where_a_rule_cuts() -> None:
    axes = titled(VALUES | {"max_count": 1})
    assert set(axes) == {"area (large, small)", "stability (surplus)", "phash, bits from the nearest before"}
    assert cuts(axes["area (large, small)"]) == [0.4, 0.15]
    assert cuts(axes["stability (surplus)"]) == [0.39], "the effective cut among those still in: 0.39 is kept, 0.2 not"


def test_no_panel_is_blank_when_no_rule_is_on() -> None:
    axes = titled({})
    assert set(axes) == {"area", "stability", "phash, bits from the nearest before"}
    for title, axis in axes.items():
        bars = sum(patch.get_height() for patch in axis.patches if isinstance(patch, Rectangle))
        assert not axis.lines and bars == len(AREAS) - (title[0] == "p"), "the first has no distance to one before it"


def test_a_cut_far_outside_is_written_and_the_axis_keeps_to_the_scores() -> None:
    axes = titled({"max_count": 2, "max_area": 1.0, "min_distance": 60})
    axis = axes["phash, bits from the nearest before (repeated)"]
    assert [text.get_text() for text in axis.texts] == ["cut at 60 →"] and not axis.lines
    assert axis.get_xlim()[1] < 30
    near = axes["area (large)"]
    assert cuts(near) == [1.0] and near.get_xlim()[1] > 1.0 and not near.texts


def test_cut_off_is_named_by_its_columns() -> None:
    sides = {f"border_{side}": np.array([0.1 * k, 0.0]) for k, side in enumerate(("top", "bottom", "left", "right"))}
    borders = Table(["a", "b"], ["", ""], sides, np.zeros(2, np.uint64), np.zeros(2, bool))
    values = {"max_border": 0.2}
    named = "largest of border_top, border_bottom, border_left, border_right"
    assert lines(borders, judge(borders, values), values)[0][0] == f"cut_off: {named} above 0.2 is rejected"
    drawn = figure(borders, judge(borders, values), values).axes[0]
    assert drawn.get_title().replace("\n", " ") == f"{named} (cut_off)"
    assert active(values)[0].compared(borders, borders.measured).tolist() == [pytest.approx(0.3), 0.0]


def test_histograms_are_a_png_even_when_nothing_was_measured() -> None:
    assert histograms(*of(VALUES))[:4] == b"\x89PNG"
    scores, bits = {"area": np.array([np.nan])}, np.zeros(1, np.uint64)
    nothing = Table(["a"], ["constant"], scores, bits, np.zeros(1, bool))
    assert histograms(nothing, judge(nothing, VALUES), VALUES)[:4] == b"\x89PNG"
    assert [text.get_text() for text in figure(nothing, judge(nothing, {}), {}).axes[0].texts] == ["not measured"]
