"""The controls change one thing each: blobs the outline and no area, shuffled the labels and no number."""

from __future__ import annotations

from collections import Counter

import cv2
import numpy as np
import pytest

from stages.cutouts.blobs import blob
from stages.cutouts.crop import framed
from stages.cutouts.recipes import labels, recut, shuffle_labels


@pytest.mark.parametrize("shape", [(64, 64), (30, 70), (128, 40)])
@pytest.mark.parametrize("area", [0, 1, 2, 17, 400, 801, 1999, 2100])
def test_a_blob_has_exactly_the_area_it_was_asked_for(shape: tuple[int, int], area: int) -> None:
    for seed in range(5):
        mask = blob(shape, area, np.random.default_rng(seed))
        assert mask.shape == shape
        assert mask.dtype == np.bool_
        assert np.count_nonzero(mask) == area


def test_a_blob_may_fill_the_image_but_not_more() -> None:
    assert blob((8, 9), 72, np.random.default_rng(0)).all()
    with pytest.raises(ValueError, match="73 pixels does not fit"):
        blob((8, 9), 73, np.random.default_rng(0))


def test_a_blob_is_one_smooth_piece() -> None:
    """One part, and an outline not much longer than that of a disc of its area."""
    for seed in range(50):
        mask = blob((64, 64), 700, np.random.default_rng(seed)).astype(np.uint8)
        count, _ = cv2.connectedComponents(mask, connectivity=8)
        (outline,), _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        assert count == 2
        assert cv2.arcLength(outline, True) < 1.5 * 2 * np.sqrt(np.pi * 700)


def test_blobs_differ_in_place_and_shape() -> None:
    masks = [blob((64, 64), 700, np.random.default_rng(seed)) for seed in range(20)]
    assert len({mask.tobytes() for mask in masks}) == 20
    centres = np.array([np.argwhere(mask).mean(axis=0) for mask in masks])
    assert (centres.std(axis=0) > 4).all()
    boxes = {tuple(np.ptp(np.argwhere(mask), axis=0)) for mask in masks}
    assert len(boxes) > 10


def test_a_blob_depends_on_seed_and_uid_alone() -> None:
    mask = np.zeros((64, 64), bool)
    mask[10:30, 10:40] = True
    one = recut("blobs", "bus-000001", mask, 0)
    recut("blobs", "bus-000002", mask, 0)
    assert np.array_equal(recut("blobs", "bus-000001", mask, 0), one)
    assert np.array_equal(recut("blobs", "bus-000001", mask.T, 0), one), "only the area of the mask counts"
    assert not np.array_equal(recut("blobs", "bus-000002", mask, 0), one)
    assert not np.array_equal(recut("blobs", "bus-000001", mask, 1), one)
    assert recut("grafted", "bus-000001", mask, 0) is mask


CLASSES = {
    "three equal": {"bus": 40, "train": 40, "truck": 40},
    "uneven": {"bus": 31, "train": 20, "truck": 12},
    "half": {"bus": 10, "train": 6, "truck": 4},
    "two": {"bus": 7, "train": 7},
    "pairs": {"bus": 1, "train": 1, "truck": 1},
}


def bank(counts: dict[str, int]) -> dict[str, str]:
    return {f"{name}-{k:06d}": name for name, count in counts.items() for k in range(count)}


@pytest.mark.parametrize("counts", CLASSES.values(), ids=CLASSES)
@pytest.mark.parametrize("seed", range(5))
def test_shuffled_never_keeps_a_class_and_keeps_their_numbers(counts: dict[str, int], seed: int) -> None:
    own = bank(counts)
    given = labels("shuffled", own, seed)
    assert given.keys() == own.keys()
    assert Counter(given.values()) == Counter(counts)
    assert not [uid for uid in own if given[uid] == own[uid]]


@pytest.mark.parametrize(
    ("counts", "stay"), [({"bus": 9}, 9), ({"bus": 9, "train": 4}, 5), ({"bus": 6, "car": 1, "van": 2}, 3)]
)
def test_only_the_surplus_of_a_majority_keeps_its_class(counts: dict[str, int], stay: int) -> None:
    own = bank(counts)
    given = shuffle_labels(own, np.random.default_rng(0))
    assert sum(given[uid] == own[uid] for uid in own) == stay
    assert Counter(given.values()) == Counter(counts)


def test_shuffled_mixes_instead_of_renaming_one_class_into_another() -> None:
    """A consistent renaming would be learnt as well as the truth, and be no control."""
    own = bank(CLASSES["three equal"])
    given = labels("shuffled", own, 0)
    for name in CLASSES["three equal"]:
        received = Counter(given[uid] for uid in own if own[uid] == name)
        assert len(received) == 2 and min(received.values()) >= 10


def test_shuffled_is_one_draw_per_seed_whatever_the_order_of_the_bank() -> None:
    own = bank(CLASSES["uneven"])
    assert labels("shuffled", own, 3) == labels("shuffled", dict(reversed(own.items())), 3)
    assert labels("shuffled", own, 3) != labels("shuffled", own, 4)
    assert labels("shuffled", {}, 0) == {}


def test_other_recipes_keep_the_labels() -> None:
    own = bank({"bus": 2, "train": 1})
    assert labels("grafted", own, 0) == labels("blobs", own, 0) == own
    assert labels("baseline", own, 0) == {}


def test_a_cutout_is_tight_opaque_on_the_mask_and_nothing_elsewhere() -> None:
    image = np.arange(6 * 8 * 3, dtype=np.uint8).reshape(6, 8, 3)
    mask = np.zeros((6, 8), bool)
    mask[1, 2] = mask[3, 6] = mask[2, 4] = True
    rgba, beside = framed(image, mask, {})
    assert rgba.shape == (3, 5, 4) and not beside
    assert np.array_equal(rgba[..., 3] == 255, mask[1:4, 2:7])
    assert np.array_equal(rgba[2, 4, :3], image[3, 6])
    assert (rgba[rgba[..., 3] == 0] == 0).all()
    with pytest.raises(ValueError, match="empty mask"):
        framed(image, np.zeros((6, 8), bool), {})


def test_a_soft_edge_keeps_the_images_colour_beyond_the_mask_and_shares_its_frame() -> None:
    image = np.arange(5 * 6 * 3, dtype=np.uint8).reshape(5, 6, 3) + np.uint8(1)
    mask, alpha, doubt = np.zeros((5, 6), bool), np.zeros((5, 6), np.uint8), np.zeros((5, 6), np.uint8)
    mask[2, 2:4] = True
    alpha[2, 1:4] = (85, 170, 255)
    doubt[2, 1:3] = 255
    rgba, beside = framed(image, mask, {"doubt": doubt, "alpha": alpha})
    assert rgba[..., 3].tolist() == [[0, 255, 255]]
    assert np.array_equal(rgba[0, :, :3], image[2, 1:4])
    assert (beside["doubt"].tolist(), beside["alpha"].tolist()) == ([[255, 255, 0]], [[85, 170, 255]])
