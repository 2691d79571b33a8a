"""Photos and group pages: pure functions, whose labels and captions say what is seen."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from stages.parts.store.photo_shards import jpeg_array, jpeg_bytes

from stages.parts.datasets.label_spaces import SMALL_VOC
from stages.parts.errors import GraftError
from stages.parts.world.arrangement import NARROWEST
from stages.parts.world.backdrops import PLACES
from stages.parts.world.objects import SUBTYPES
from stages.parts.world.pages import group_page
from stages.parts.world.photos import listed, photo, spoken

PHOTOS = [photo(k, 0, "train") for k in range(150)]


def test_a_photo_depends_on_its_arguments_alone() -> None:
    again = photo(7, 0, "train")
    assert (again.image == PHOTOS[7].image).all() and (again.label == PHOTOS[7].label).all()
    others = [photo(8, 0, "train"), photo(7, 1, "train"), photo(7, 0, "val"), photo(7, 0, "test")]
    assert all((other.image != again.image).any() for other in others)


def test_a_label_is_the_classes_of_the_objects_with_a_border_of_one_pixel() -> None:
    cross = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
    for taken in PHOTOS:
        assert set(np.unique(taken.label)) <= {0, *range(1, len(SMALL_VOC.names)), 255}
        near = np.zeros(taken.label.shape, bool)
        for thing in taken.objects:
            inside = taken.label[thing.mask]
            assert set(np.unique(inside)) <= {SMALL_VOC.id(thing.kind), 255}
            near |= cv2.dilate(thing.mask.astype(np.uint8), cross).astype(bool)
        assert not (taken.label[~near]).any(), "nothing but background a pixel away from all objects"
        ring = taken.label == 255
        seen = np.any([thing.mask for thing in taken.objects], axis=0)
        assert (ring[near & ~seen]).all(), "the border lies on the background around every object"


def test_objects_differ_in_size_and_none_is_a_speck() -> None:
    widths = []
    for taken in PHOTOS:
        assert not np.any(np.sum([thing.mask for thing in taken.objects], axis=0) > 1), "a pixel is of one object"
        for thing in taken.objects:
            columns = np.flatnonzero(thing.mask.any(axis=0))
            widths.append((columns[-1] + 1 - columns[0]) / 64)
    assert min(widths) >= NARROWEST and max(widths) > 0.9 and np.percentile(widths, 25) < 0.4


def test_many_photos_show_several_classes_and_some_objects_are_cut() -> None:
    several = np.mean([len(taken.classes) > 1 for taken in PHOTOS])
    assert 0.35 < several < 0.55
    cut = [thing.mask[:, [0, -1]].any() for taken in PHOTOS for thing in taken.objects]
    assert 0.1 < np.mean(cut) < 0.45
    assert {kind for taken in PHOTOS for kind in taken.classes} == set(SUBTYPES)


def test_a_caption_names_all_that_is_there() -> None:
    for taken in PHOTOS:
        assert taken.place in PLACES and taken.caption.endswith(taken.place)
        for thing in taken.objects:
            assert spoken(thing.subtype) in taken.caption or (thing.kind == "person" and "people" in taken.caption)
    assert listed(["school bus", "sedan car"]) == "a school bus and a sedan"
    assert listed(["school bus", "walking person", "school bus"]) == "two school buses and a walking person"
    assert listed(["suv car"] * 3) == "three suvs"
    assert listed(["mini bus", "van car", "box truck"]) == "a mini bus, a van and a box truck"


def test_a_larger_photo_is_the_same_place_in_more_detail() -> None:
    large = photo(3, 0, "train", side=128)
    assert large.image.shape == (128, 128, 3) and large.caption == PHOTOS[3].caption
    assert np.unique(large.label[0]).size >= 1 and (large.label > 0).mean() == pytest.approx(
        (PHOTOS[3].label > 0).mean(), abs=0.25
    )


def test_what_there_is_not_is_one_sentence() -> None:
    with pytest.raises(GraftError, match="no split 'oracle'"):
        photo(0, 0, "oracle")  # type: ignore[arg-type]
    with pytest.raises(GraftError, match="side of 32"):
        photo(0, 0, "train", side=16)


def test_a_group_page_shows_each_object_that_its_caption_names() -> None:
    for k in range(40):
        leaf, again = group_page(k, 3), group_page(k, 3)
        assert (leaf.image == again.image).all() and (leaf.instances == again.instances).all()
        assert set(np.unique(leaf.instances)) - {0} == set(range(1, len(leaf.kinds) + 1))
        assert len(leaf.kinds) == len(leaf.subtypes) in (2, 3)
        assert all(f"a {subtype}" in leaf.caption for subtype in leaf.subtypes) and leaf.place in leaf.caption


def test_a_jpeg_is_read_back_and_nothing_else_is() -> None:
    image, other = PHOTOS[0].image, PHOTOS[1].image
    errors = [np.abs(jpeg_array(jpeg_bytes(image)).astype(int) - each).mean() for each in (image, other)]
    assert errors[0] < 0.3 * errors[1] and jpeg_bytes(image) == jpeg_bytes(image)
    with pytest.raises(ValueError, match="uint8"):
        jpeg_bytes(image[..., 0])
    with pytest.raises(ValueError, match="expected a JPEG"):
        jpeg_array(b"no picture")
