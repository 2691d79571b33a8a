"""A ring of doubt around an object changes neither how large it is pasted nor where it stands."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from stages.cutouts.crop import framed
from stages.parts.datasets.labels import LABELS
from stages.parts.masks.doubt import ring
from stages.parts.pasting.composite import object_box, resize, resize_object
from stages.parts.pasting.place import Scale, anywhere, ground_table, on_ground
from tests.parts.pasting.test_paste import pasting, run, street

TALL, WIDE = 28, 21


def cutouts(width: int) -> tuple[np.ndarray, np.ndarray]:
    """A rectangle of TALL x WIDE pixels as stage cutouts makes it, without a ring, and with one so wide."""
    mask = np.zeros((64, 64), np.bool_)
    mask[12 : 12 + TALL, 8 : 8 + WIDE] = True
    image = np.full((64, 64, 3), 180, np.uint8)
    doubt = ring(mask, width)
    edge = {"doubt": 255 * doubt.astype(np.uint8), "alpha": np.where(doubt, 128, 255 * mask).astype(np.uint8)}
    plain, _ = framed(image, mask, {})
    rgba, beside = framed(image, mask, edge)
    return plain, np.dstack([rgba, beside["doubt"], beside["alpha"]])


def drawn(cutout: np.ndarray, **changes: Any) -> tuple[np.ndarray, np.ndarray]:
    """Image and label with the cutout, 19 px tall, on the road that begins in row 20."""
    return run(pasting({14: [cutout]}, scale=Scale("height", 19 / 40, 19 / 40), flip=0.0, **changes), draw=4)


def test_the_object_and_not_its_frame_is_19_pixels_tall_and_stands_on_the_ground():
    plain, ringed = cutouts(2)
    assert plain.shape[0] == TALL and ringed.shape[0] == TALL + 4
    scale, grounds = Scale("height", 19 / 40, 19 / 40), ground_table(LABELS)
    box = on_ground(street(), ringed, np.random.default_rng(4), scale, grounds)
    assert box is not None
    assert box == on_ground(street(), plain, np.random.default_rng(4), scale, grounds)
    assert (box.height, box.width) == (19, round(19 * WIDE / TALL))
    foot, middle = box.row + 18, box.col + box.width // 2
    assert street()[foot, middle] == 0, "the foot is on the road"
    whole, above, beside = resize_object(ringed, box.height, box.width)
    assert object_box(whole) == (slice(above, above + 19), slice(beside, beside + box.width))


@pytest.mark.parametrize("width", [1, 2, 5])
def test_the_ring_is_all_that_differs_from_a_paste_without_one(width: int):
    plain, ringed = cutouts(width)
    (image, label), (image_of_ring, label_of_ring) = drawn(plain), drawn(ringed)
    rows, columns = (np.flatnonzero((label == 14).any(axis)) for axis in (1, 0))
    assert len(rows) == 19 and len(columns) == round(19 * WIDE / TALL)
    certain = label_of_ring != 255
    assert (label_of_ring == label)[certain].all() and (label_of_ring == 14).any()
    assert (image_of_ring == image).all(), "hard edges: the ring has no colour"
    reach = round(width * 19 / TALL)
    rows, columns = (np.flatnonzero((label_of_ring == 255).any(axis)) for axis in (1, 0))
    own = [np.flatnonzero((label == 14).any(axis)) for axis in (1, 0)]
    assert [rows[0], columns[0]] == [own[0][0] - reach, own[1][0] - reach], "in proportion, above and to the left"
    assert columns[-1] == own[1][-1] + reach


def test_a_soft_edge_fades_on_both_sides_of_where_the_outline_was():
    plain, ringed = cutouts(3)
    (_, label), (image, _) = drawn(plain), drawn(ringed, edge={"blend": "alpha"})
    rows, columns = (np.flatnonzero((label == 14).any(axis)) for axis in (1, 0))
    middle = int(columns.mean())
    assert image[rows[0] - 1, middle, 0] == image[rows[0], middle, 0] == round(180 * 128 / 255)
    assert image[int(rows.mean()), middle, 0] == 180


@pytest.mark.parametrize("scale", [Scale("native"), Scale("height", 0.2, 0.9), Scale("area", 0.05, 0.2)])
def test_anywhere_looks_at_the_object_alone(scale: Scale):
    plain, ringed = cutouts(4)
    for seed in range(20):
        boxes = [anywhere(street(), cutout, np.random.default_rng(seed), scale) for cutout in (plain, ringed)]
        assert boxes[0] == boxes[1]


def test_a_margin_on_one_side_alone_moves_nothing():
    plain, _ = cutouts(2)
    below = np.zeros((TALL + 9, WIDE, 5), np.uint8)
    below[:TALL, :, :4], below[TALL:, :, 4] = plain, 255
    (_, label), (_, doubted) = drawn(plain), drawn(below)
    assert ((doubted == 14) == (label == 14)).all()
    whole, above, beside = resize_object(below, 14, 21)
    assert whole.shape == (14 + round(9 / 2), 21, 5) and (above, beside) == (0, 0)


def test_without_a_margin_the_object_is_resized_as_a_whole():
    rng = np.random.default_rng(0)
    for _ in range(20):
        cutout = rng.integers(0, 256, (*rng.integers(3, 30, 2), 6)).astype(np.uint8)
        cutout[[0, -1], :, 3] = cutout[:, [0, -1], 3] = 255
        height, width = rng.integers(1, 50, 2)
        whole, above, beside = resize_object(cutout, int(height), int(width))
        assert (whole == resize(cutout, int(height), int(width))).all() and above == beside == 0
