"""Pasting: what is promised of one paste, of where it lands, and of its randomness."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stages.parts.datasets.labels import LABELS
from stages.parts.pasting import composite
from stages.parts.pasting.composite import resize
from stages.parts.pasting.paste import Cutouts, PasteCutouts
from stages.parts.pasting.place import GROUND, Box, Scale, anywhere, ground_table, on_ground
from stages.parts.store.samples import Sample, Shards, build, png_bytes

GREY = np.full((4, 4, 3), 100, np.uint8)
ON, IS_GROUND = [LABELS.id(name) for name in GROUND], ground_table(LABELS)
BUILDING = np.full((4, 4), 2, np.uint8)
RED = np.zeros((2, 2, 4), np.uint8)
RED[..., 0] = 250
RED[..., 3] = [[255, 255], [255, 0]]  # an L: its lower right pixel is transparent


def street(height: int = 40, width: int = 60) -> np.ndarray:
    label = np.full((height, width), 2, np.uint8)
    label[height // 2 :] = 0
    return label


def bank(**sizes: tuple[int, int]) -> dict[int, list[np.ndarray]]:
    ids = {"truck": 14, "bus": 15, "train": 16}
    return {ids[name]: [np.full((*size, 4), 255, np.uint8)] for name, size in sizes.items()}


def pasting(cutouts: dict, **changes: Any) -> PasteCutouts:
    options: dict[str, Any] = {"probability": 1.0, "per": "image", "max_instances": 1, "place": "ground", "flip": 0.5}
    return PasteCutouts(cutouts, **(options | {"scale": Scale("height", 0.2, 0.6)} | changes))


def paste(
    image: np.ndarray, label: np.ndarray, cutout: np.ndarray, class_id: int, row: int, col: int, **how: Any
) -> tuple[np.ndarray, np.ndarray]:
    """Copies of image and label with the cutout on them."""
    image, label = image.copy(), label.copy()
    composite.paste(image, label, cutout, class_id, row, col, **how)
    return image, label


def placed(label: np.ndarray, shape: tuple[int, int], rng: np.random.Generator, smallest: float, largest: float) -> Box:
    box = on_ground(label, np.full((*shape, 4), 255, np.uint8), rng, Scale("height", smallest, largest), IS_GROUND)
    assert box is not None
    return box


def run(transform: PasteCutouts, draw: int = 0, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    label = street()
    image = np.zeros((*label.shape, 3), np.uint8)
    out = transform({"seed": seed, "draw": draw, "img": image, "gt_seg_map": label})
    assert not image.any()  # the array that came in is not written to
    return out["img"], out["gt_seg_map"]


def test_paste_changes_the_opaque_pixels_of_image_and_label_and_no_others():
    image, label = paste(GREY, BUILDING, RED, 14, 1, 2)
    assert label.tolist() == [[2, 2, 2, 2], [2, 2, 14, 14], [2, 2, 14, 2], [2, 2, 2, 2]]
    assert ((image == [250, 0, 0]).all(2) == (label == 14)).all()
    assert ((image == 100).all(2) == (label == 2)).all()


@pytest.mark.parametrize(
    ("row", "col", "pasted"),
    [
        (-1, -1, []),  # only the transparent corner is inside
        (-1, 0, [(0, 0)]),
        (3, 3, [(3, 3)]),  # the last row and column can be reached (P6)
        (2, -1, [(2, 0)]),
        (9, 0, []),
        (0, -9, []),
    ],
)
def test_paste_clips_at_every_border(row, col, pasted):
    _, label = paste(GREY, BUILDING, RED, 14, row, col)
    assert [tuple(p) for p in np.argwhere(label == 14).tolist()] == pasted


@pytest.mark.parametrize("class_id", [0, 13, 16, 18])
def test_paste_writes_the_class_id_itself(class_id):
    """UCG multiplies the mask by the id: road (0) cannot be pasted and a mask of 0/255 overflows (P3)."""
    _, label = paste(GREY, BUILDING, RED, class_id, 0, 0)
    assert (label[[0, 0, 1], [0, 1, 0]] == class_id).all()


@pytest.mark.parametrize("class_id", [-1, 255])
def test_paste_refuses_an_id_that_is_no_class(class_id):
    with pytest.raises(ValueError, match="class id"):
        paste(GREY, BUILDING, RED, class_id, 0, 0)


def test_resizing_lets_no_hidden_background_bleed_into_the_colour():
    rgba = np.zeros((8, 8, 4), np.uint8)
    rgba[..., 1] = 255  # the background behind the cut-out is green
    rgba[:, :5] = [200, 0, 0, 255]
    for size in [(4, 4), (13, 11)]:
        out = resize(rgba, *size)
        assert out.shape == (*size, 4)
        assert set(np.unique(out[..., 3])) == {0, 255}
        assert (out[out[..., 3] == 255][:, :3] == [200, 0, 0]).all()


def test_a_cutout_on_the_ground_stands_on_a_ground_pixel():
    rng = np.random.default_rng(0)
    for trial in range(300):
        label = np.full((30, 50), 2, np.uint8)
        for row, col in rng.integers([0, 0], label.shape, (5, 2)):
            label[row, col] = ON[trial % 3]
        box = placed(label, (7, 12), rng, 0.1, 0.9)
        assert label[box.row + box.height - 1, box.col + box.width // 2] in ON


def test_nothing_is_placed_where_there_is_no_ground():
    assert on_ground(BUILDING, RED, np.random.default_rng(0), Scale("height", 0.2, 0.5), IS_GROUND) is None
    results = {"seed": 0, "draw": 0, "img": GREY, "gt_seg_map": BUILDING}
    assert (pasting(bank(bus=(2, 3))).transform(results)["gt_seg_map"] == 2).all()


def test_heights_are_log_uniform_and_what_stands_lower_is_larger():
    rng = np.random.default_rng(1)
    boxes = [placed(street(200, 60), (10, 20), rng, 0.1, 0.4) for _ in range(1000)]
    heights = np.array([box.height for box in boxes])
    assert heights.min() >= 20
    assert heights.max() <= 80
    assert abs(np.mean(heights < 40) - 0.5) < 0.05  # the geometric mean is the median
    feet = np.array([box.row + box.height for box in boxes])
    assert np.corrcoef(feet, np.log(heights))[0, 1] > 0.8
    assert all(box.width == 2 * box.height for box in boxes)  # the shape is kept


def test_ucg_places_at_native_size_anywhere_inside_and_shrinks_what_does_not_fit():
    rng = np.random.default_rng(2)
    native = Scale("native")
    corners = Counter(anywhere(BUILDING, np.zeros((3, 3, 4), np.uint8), rng, native) for _ in range(400))
    assert {(box.row, box.col) for box in corners} == {(0, 0), (0, 1), (1, 0), (1, 1)}
    assert {(box.height, box.width) for box in corners} == {(3, 3)}
    assert min(corners.values()) > 60
    as_large = np.zeros((4, 4, 4), np.uint8)
    assert anywhere(BUILDING, as_large, rng, native)[:2] == (0, 0)  # a crash in UCG (P2)
    assert anywhere(BUILDING, np.zeros((16, 8, 4), np.uint8), rng, native)[2:] == (4, 2)


def test_a_paste_depends_on_seed_and_draw_and_on_nothing_else():
    transform = pasting(bank(truck=(9, 15), bus=(10, 10)), max_instances=3)
    first = [run(transform, draw)[1] for draw in range(6)]
    np.random.seed(5)
    again = [run(transform, draw)[1] for draw in (5, 3, 1, 0, 2, 4)]
    assert all((first[draw] == label).all() for draw, label in zip((5, 3, 1, 0, 2, 4), again, strict=True))
    assert any((first[0] != label).any() for label in first[1:])
    assert (run(transform, 0, seed=1)[1] != first[0]).any()


def test_an_empty_bank_pastes_nothing():
    nothing: list[dict] = [{}, {14: []}]
    for empty in nothing:
        assert (run(pasting(empty))[1] == street()).all()


def test_classes_are_balanced_however_many_cutouts_each_has():
    many = {14: [np.full((4, 4, 4), 255, np.uint8)] * 50, 15: [np.full((4, 4, 4), 255, np.uint8)]}
    transform = pasting(many)
    pasted = Counter(int(run(transform, draw)[1].max()) for draw in range(300))
    assert set(pasted) == {14, 15}
    assert abs(pasted[15] - 150) < 40


def test_probability_is_per_image():
    transform = pasting(bank(train=(6, 10)), probability=0.25)
    hit = sum(run(transform, draw)[1].max() == 16 for draw in range(400))
    assert abs(hit - 100) < 30


def test_nearer_cutouts_hide_farther_ones():
    square = np.full((8, 8, 4), 255, np.uint8)
    transform = pasting({14: [square], 15: [square]}, max_instances=2, scale=Scale("height", 0.4, 0.8))
    overlaps = 0
    for draw in range(250):
        label = run(transform, draw)[1]
        places = {k: np.argwhere(label == k) for k in (14, 15) if (label == k).any()}
        feet = {k: place[:, 0].max() for k, place in places.items()}
        if len(feet) == 2 and feet[14] != feet[15]:
            whole = {k: len(place) == np.prod(np.ptp(place, axis=0) + 1) for k, place in places.items()}
            assert whole[max(feet, key=feet.__getitem__)]  # the nearer one is still a full rectangle
            overlaps += not all(whole.values())
    assert overlaps > 5


def test_flipping_mirrors_the_cutout():
    arrow = np.zeros((10, 10, 4), np.uint8)
    arrow[:, :5] = 255
    arrow[0] = 255  # an upside-down L: its box is the whole cutout
    left = run(pasting({14: [arrow]}, flip=0.0), 3)[1] == 14
    right = run(pasting({14: [arrow]}, flip=1.0), 3)[1] == 14
    assert left.any()
    assert (left.sum(1) == right.sum(1)).all()
    feet = [np.flatnonzero(one[np.flatnonzero(one.any(1))[-1]]) for one in (left, right)]
    assert feet[0].max() < feet[1].min()


def test_a_bank_gives_colour_doubt_and_soft_edge_as_the_six_channels_of_a_cutout(tmp_path: Path):
    layers = [np.full((3, 4, 4), 9, np.uint8), np.full((3, 4), 255, np.uint8), np.full((3, 4), 77, np.uint8)]
    names = ("rgba.png", "doubt.png", "alpha.png")

    def make(uids: list[str]) -> list[Sample]:
        files = {name: png_bytes(layer) for name, layer in zip(names, layers, strict=True)}
        return [Sample(uid, "k", {"class": "bus"}, dict(list(files.items())[: 1 + int(uid[-1])])) for uid in uids]

    build(tmp_path, {"bus-0": "k", "bus-1": "k", "bus-2": "k"}, make, title="bank")
    for channels, cutout in zip((4, 5, 6), Cutouts(Shards(tmp_path), "bus"), strict=True):
        assert np.array_equal(cutout, np.dstack(layers)[..., :channels])
