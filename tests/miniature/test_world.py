"""The small world is a pure function of its seeds, and keeps what the method is to be tested on."""

import numpy as np
import pytest

from stages.labels import CITYSCAPES
from stages.miniature.objects import SUBTYPES, draw
from stages.miniature.pen import CAMERA, GAME, PICTURE
from stages.miniature.picturebook import page
from stages.miniature.streets import street

NOVEL = {CITYSCAPES.id(name) for name in ("truck", "bus", "train")}


@pytest.mark.parametrize("domain", ["source", "target"])
def test_a_street_depends_on_its_arguments_alone(domain: str) -> None:
    first = street(7, 3, domain, 64, 128)  # type: ignore[arg-type]
    np.random.seed(1)
    street(8, 3, domain, 64, 128)  # type: ignore[arg-type]
    again = street(7, 3, domain, 64, 128)  # type: ignore[arg-type]
    assert (first[0] == again[0]).all() and (first[1] == again[1]).all()
    other = street(8, 3, domain, 64, 128)  # type: ignore[arg-type]
    assert (first[0] != other[0]).any()


def test_the_source_never_shows_a_novel_class_and_the_target_shows_each() -> None:
    source = {int(i) for k in range(60) for i in np.unique(street(k, 0, "source", 64, 128)[1])}
    target = {int(i) for k in range(60) for i in np.unique(street(k, 0, "target", 64, 128)[1])}
    assert not source & NOVEL
    assert target >= NOVEL
    assert source | NOVEL == target, "both domains have the same base classes"


def test_every_pixel_of_a_street_is_labelled_with_a_cityscapes_class() -> None:
    for domain in ("source", "target"):
        image, label = street(0, 0, domain, 64, 128)
        assert image.shape == (64, 128, 3) and image.dtype == np.uint8
        assert label.shape == (64, 128) and label.max() < len(CITYSCAPES.names)


def test_a_page_depends_on_index_and_edition_and_its_mask_is_its_object() -> None:
    for k in range(20):
        leaf, again = page(k, 1), page(k, 1)
        assert (leaf.image == again.image).all() and leaf.caption == again.caption
        assert leaf.subtype in leaf.caption and leaf.place in leaf.caption
        assert 0.02 < leaf.mask.mean() < 0.6, "one object, neither a speck nor the whole page"
    assert (page(0, 1).image != page(0, 2).image).any()


@pytest.mark.parametrize(("kind", "subtype"), [(k, s) for k, subs in SUBTYPES.items() for s in subs])
def test_an_object_is_cropped_to_its_ink(kind: str, subtype: str) -> None:
    for look in (GAME, CAMERA, PICTURE):
        picture, metres = draw(kind, subtype, np.random.default_rng(0), look)
        alpha = np.asarray(picture)[..., 3]
        assert alpha[0].any() and alpha[-1].any() and alpha[:, 0].any() and alpha[:, -1].any()
        assert 0.8 < metres < 6
