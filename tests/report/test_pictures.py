"""What the pictures that a run leaves show, looked up in their pixels."""

from __future__ import annotations

import io
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from stages.parts.datasets.labels import CITYSCAPES, LABELS
from stages.parts.drawing import charts, colours, sheets
from stages.parts.drawing.sheets import GAP, GREEN, LINE, RED, TILE
from stages.parts.store.samples import Shards, png_array
from stages.report.__main__ import main
from stages.report.paste import pasted
from stages.report.pictures import richest
from tests.report.conftest import BUS, NOVEL, ROAD, TRUCK, truth

BRIGHT = colours.palette(LABELS, NOVEL)
STEP = LINE + TILE + GAP  # of a captioned line


def opened(path: str) -> NDArray[np.uint8]:
    return np.array(Image.open(path).convert("RGB"))


def tile(sheet: NDArray[np.uint8], line: int, column: int, left: int = 0) -> NDArray[np.uint8]:
    """One tile of a captioned grid."""
    top, left = LINE + line * STEP + LINE, left + column * (TILE + GAP)
    return sheet[top : top + TILE, left : left + TILE]


def enlarged(picture: NDArray[np.uint8], factor: int = 8) -> NDArray[np.uint8]:
    """A 16 x 16 picture as a tile shows it."""
    picture = picture if picture.ndim == 3 else np.repeat(picture[..., None], 3, axis=2)
    return picture.repeat(factor, axis=0).repeat(factor, axis=1)


def has(picture: NDArray[np.uint8], colour: tuple[int, ...] | NDArray[np.uint8]) -> bool:
    return bool((picture == np.array(colour)).all(axis=2).any())


def test_a_class_sheet_shows_image_seed_and_cutout_in_their_columns(line: Path) -> None:
    main([])
    sheet, refined = opened("data/report/ucg/truck.png"), Shards("data/refined/truck")
    files = refined.read("truck-000003")  # the first that is kept
    image, seed, mask = (png_array(files[f"{name}.png"]) for name in ("image", "seed", "mask"))
    np.testing.assert_array_equal(tile(sheet, 0, 0), enlarged(image))
    np.testing.assert_array_equal(tile(sheet, 0, 2), enlarged(seed))
    np.testing.assert_array_equal(tile(sheet, 0, 4), enlarged(sheets.on_checkerboard(image, mask)))
    outline = (tile(sheet, 0, 3) == (255, 40, 40)).all(axis=2).any(axis=1)
    assert (np.flatnonzero(outline)[[0, -1]] // 8 == [4, 11]).all(), "the mask, not the seed, is outlined"


def test_a_class_sheet_shows_every_rejected_sample_with_its_reason(line: Path) -> None:
    main([])
    sheet, refined = opened("data/report/ucg/bus.png"), Shards("data/refined/bus")
    left = len(sheets.COLUMNS) * (TILE + GAP) + 6 * GAP
    for number, uid in enumerate(["bus-000000", "bus-000001", "bus-000002"]):
        image = png_array(refined.read(uid)["image.png"])
        np.testing.assert_array_equal(tile(sheet, number, 0, left), enlarged(image))
        caption = sheet[LINE + number * STEP :][:LINE]
        assert has(caption[:, left:], RED) and not has(caption[:, :left], RED) and has(caption, GREEN)


def test_a_caption_holds_the_words() -> None:
    plane = np.zeros((4, 4), np.uint8)
    one = sheets.Candidate("bus-1", "", np.zeros((4, 4, 3), np.uint8), plane, plane, plane, "a photo of a bus")
    assert sheets.verdict(one)[0] == "bus-1   kept   a photo of a bus"


def test_the_overview_is_whole(line: Path) -> None:
    """A line per class, the streets of both domains, a segmentation per class, and the legend at its end."""
    main([])
    overview = opened("metrics/overview.png")
    street = LINE + 145 + GAP
    parts = [LINE + 2 * STEP, street, LINE + 2 * (145 + GAP) + LINE]
    assert overview.shape == (sum(parts) + 3 * 2 * GAP, 5 * (TILE + GAP) + 2 * (256 + GAP), 3)
    one, other = overview[: parts[0]], overview[parts[0] + 2 * GAP :]
    kept = Shards("data/refined/truck").read("truck-000007")  # in the middle of the nine
    np.testing.assert_array_equal(tile(one, 0, 0), enlarged(png_array(kept["image.png"])))
    assert has(one[:, -256 - GAP :], BRIGHT[TRUCK]) and has(one[:, -256 - GAP :], BRIGHT[BUS])
    assert has(one[LINE : 2 * LINE, :TILE], sheets.INK), "the words stand above the pictures"
    target = png_array(Shards("data/scenes/target").read("target-0")["image.png"])
    shown = np.array(sheets.fitted(target, 145, 290))
    np.testing.assert_array_equal(other[LINE : LINE + 145, 2 * 294 : 2 * 294 + 290], shown)
    assert has(overview[-LINE - 2 * GAP :], BRIGHT[BUS]), "the legend"


def test_a_target_without_labels_is_all_that_the_overview_asks_for(line: Path) -> None:
    assert not [uid for uid, files in Shards("data/scenes/target") if "label.png" in files]
    main([])


def test_novel_classes_have_colours_that_no_other_class_has() -> None:
    names = ["truck", "bus", "train", "rider", "motorcycle"]
    table = colours.palette(LABELS, names)
    base = [tuple(table[k]) for k, name in enumerate(CITYSCAPES.names) if name not in names]
    novel = np.array([table[CITYSCAPES.id(name)] for name in names], int)
    distances = [np.abs(a - b).sum() for k, a in enumerate(novel) for b in [*novel[:k], *np.array(base, int)]]
    assert min(distances) >= 85
    assert not table[255].any() and not table[19:].any()
    assert list(colours.legend({BUS, ROAD, 255}, LABELS, names)) == ["road", "bus (novel)"]


def test_the_richest_image_of_a_class_comes_first() -> None:
    rows = [{"uid": f"val-{k}", "pixels": {str(BUS): n, str(ROAD): 9}} for k, n in enumerate((3, 20, 0, 7))]
    assert richest(rows, ["bus", "truck"]) == {"bus": ["val-1", "val-3", "val-0"], "truck": []}


def test_the_segmentations_show_the_richest_images(line: Path) -> None:
    main([])
    sheet = opened("data/report/ucg/segmentations.png")
    for number, k in enumerate((2, 1, 0)):  # a truck, then the larger bus, then the smaller
        shown = np.array(sheets.fitted(BRIGHT[truth(k)], 145, 290))
        top = LINE + number * (145 + GAP)
        np.testing.assert_array_equal(sheet[top : top + 145, 294 : 294 + 290], shown)


def test_a_pasted_cutout_is_labelled_where_it_is_opaque_and_nowhere_else() -> None:
    scene, label = np.zeros((64, 128, 3), np.uint8), np.full((64, 128), ROAD, np.uint8)
    image, mask = np.full((16, 16, 3), 200, np.uint8), np.zeros((16, 16), np.uint8)
    mask[4:12, 2:14] = 255
    made, labels = pasted(scene, label, image, mask, BUS)
    np.testing.assert_array_equal(labels == BUS, (made == 200).all(axis=2))
    rows, columns = np.nonzero(labels == BUS)
    assert (rows.max() + 1, np.ptp(rows) + 1, np.ptp(columns) + 1) == (56, 32, 48)
    assert not scene.any() and (label == ROAD).all(), "the source street itself stays as it is"
    assert (pasted(scene, label, image, mask * 0, BUS)[1] == ROAD).all()


@pytest.mark.parametrize("shape", [(2, 100), (100, 2)])
def test_a_long_or_tall_cutout_stays_inside(shape: tuple[int, int]) -> None:
    image, mask = np.full((*shape, 3), 200, np.uint8), np.full(shape, 255, np.uint8)
    made, labels = pasted(np.zeros((64, 128, 3), np.uint8), np.zeros((64, 128), np.uint8), image, mask, BUS)
    assert 0 < (labels == BUS).sum() < labels.size and (made[labels == BUS] == 200).all()


def box(picture: NDArray[np.uint8], share: float) -> NDArray[np.bool_]:
    """Which pixels of a square of the confusion chart, found by its colour, have that colour."""
    colour = np.rint(255 * np.array(matplotlib.colormaps["Greens"](share)[:3]))
    found = np.abs(picture.astype(int) - colour).max(axis=2) <= 1
    rows, columns = np.nonzero(found)
    return found[rows.min() + 2 : rows.max() - 1, columns.min() + 2 : columns.max() - 1]


def test_the_numbers_of_the_confusion_stand_in_their_squares() -> None:
    matrix = np.array([[100.0, 0.0], [60.0, 40.0]])  # no number in the upper right square
    png = charts.confusion_chart({"grafted": (["road", "bus"], matrix)})
    picture = np.array(Image.open(io.BytesIO(png)).convert("RGB"))
    assert box(picture, 0.0).all(), "a number stands where nothing goes"
    assert not box(picture, 0.6).all() and not box(picture, 0.4).all()


def test_one_seed_has_no_error_bars() -> None:
    def black(seeds: int, std: float) -> int:
        value = {"mean": 50.0, "std": std}
        result = {"baseline": {"seeds": seeds, "IoU": {"bus": value}}}
        picture = np.array(Image.open(io.BytesIO(charts.iou_chart(result, ["bus"]))).convert("RGB"))
        return int((picture[100:, 150:] < 60).all(axis=2).sum())

    assert black(1, 0.0) < black(2, 0.0) < black(2, 20.0)


def test_every_training_is_a_line_of_its_own() -> None:
    trainings = [("baseline", 0), ("baseline", 1), ("grafted", 0)]
    rows = [{"recipe": r, "seed": s, "iter": k, "loss": 1.0 + n} for n, (r, s) in enumerate(trainings) for k in (0, 9)]
    picture = np.array(Image.open(io.BytesIO(charts.curves_chart(rows))).convert("RGB")).astype(int)
    for colour, lines in zip(charts.COLOURS, (2, 1), strict=False):
        near = np.abs(picture - [int(colour[k : k + 2], 16) for k in (1, 3, 5)]).max(axis=2) < 60
        drawn = near.sum(axis=1) > 300  # rows of pixels; the stroke in the legend is shorter
        assert (np.diff(drawn.astype(int)) == 1).sum() == lines
    assert charts.curves_chart([]).startswith(b"\x89PNG")
