"""The pictures of the report, on arrays small enough to check by eye."""

from __future__ import annotations

import numpy as np
import pytest

from stages.parts.drawing import sheets

IMAGE = np.full((6, 6, 3), 90, np.uint8)
MASK = np.zeros((6, 6), np.uint8)
MASK[1:5, 1:5] = 255


def candidate(reason: str = "", mask: np.ndarray = MASK) -> sheets.Candidate:
    return sheets.Candidate("bus-000001", reason, IMAGE, MASK, MASK, mask)


def test_the_outline_is_the_masks_inner_edge() -> None:
    red = (sheets.outlined(IMAGE, MASK) == (255, 40, 40)).all(axis=2)
    expected = MASK > 0
    expected[2:4, 2:4] = False
    np.testing.assert_array_equal(red, expected)
    np.testing.assert_array_equal(sheets.outlined(IMAGE, MASK)[2:4, 2:4], 90)


def test_an_outline_at_the_border_is_drawn_and_an_empty_mask_fades_all() -> None:
    full = np.full((6, 6), 255, np.uint8)
    assert (sheets.outlined(IMAGE, full)[0] == (255, 40, 40)).all()
    assert (sheets.outlined(IMAGE, full * 0) == 90 // 3 + 140).all()


def test_a_cutout_shows_the_masks_pixels_and_nothing_else_of_the_image() -> None:
    picture = sheets.on_checkerboard(IMAGE, MASK, square=3)
    assert (picture[MASK > 0] == 90).all()
    assert set(picture[MASK == 0].ravel()) == {205, 255}
    assert picture[0, 0, 0] != picture[0, 5, 0]


def test_heat_is_bright_where_the_attribution_is() -> None:
    picture = sheets.heat(IMAGE, MASK).astype(int).sum(axis=2)
    assert picture[2, 2] > picture[0, 0]


@pytest.mark.parametrize("shape", [(6, 6), (6, 12), (512, 300)])
def test_a_fitted_picture_fills_its_tile_one_way_and_keeps_its_form(shape: tuple[int, int]) -> None:
    tile = np.array(sheets.fitted(np.zeros((*shape, 3), np.uint8), 128, 128))
    inked = (tile == 0).all(axis=2)
    rows, columns = inked.any(axis=1).sum(), inked.any(axis=0).sum()
    assert tile.shape == (128, 128, 3) and max(rows, columns) == 128
    assert abs(rows / columns - shape[0] / shape[1]) < 0.02


def test_enlarging_keeps_the_colours_of_a_label() -> None:
    label = np.random.default_rng(0).choice(np.array([0, 70, 200], np.uint8), (8, 16, 1)).repeat(3, axis=2)
    assert set(np.unique(np.array(sheets.fitted(label, 128, 256)))) <= {0, 70, 200}


@pytest.mark.parametrize(("kept", "rejected"), [(2, 3), (0, 1), (1, 0), (0, 0)])
def test_a_sheet_has_a_line_per_candidate_and_stands_with_none(kept: int, rejected: int) -> None:
    sheet = sheets.candidate_sheet([candidate()] * kept, [candidate("large", MASK * 0)] * rejected)
    assert sheet.shape[0] == sheets.LINE + max(kept, rejected) * (sheets.LINE + sheets.TILE + sheets.GAP)
    red = (sheet.astype(int) - sheets.RED == 0).all(axis=2).any()
    assert red == (rejected > 0), "a rejected sample says so in red"


def test_the_reason_is_printed() -> None:
    one, other = (sheets.candidate_sheet([], [candidate(reason)]) for reason in ("large", "ragged"))
    assert (one != other).any()


def test_samples_are_spaced_over_the_order() -> None:
    assert sheets.spaced(list("abcdefghij"), 5) == list("acegi")
    assert sheets.spaced(list("ab"), 5) == ["a", "b"]
    assert sheets.spaced([], 5) == []


def test_every_group_has_its_turn_and_no_item_comes_twice() -> None:
    groups = {"large": ["a", "b", "c"], "low": ["d"], "small": ["b", "e"]}
    assert sheets.in_turns(groups, 4) == ["a", "d", "b", "e"]
    assert sheets.in_turns(groups, 99) == ["a", "d", "b", "e", "c"]
    assert sheets.in_turns({}, 4) == []


def test_a_legend_wraps() -> None:
    colours = {name: (1, 2, 3) for name in "abc"}
    assert sheets.legend(colours, 240).shape == (2 * sheets.LINE, 240, 3)
    assert sheets.legend({}, 240).shape == (0, 240, 3)
