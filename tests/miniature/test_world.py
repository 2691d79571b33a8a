"""The small world is a pure function of its seeds, and keeps what the method is to be tested on."""

import numpy as np
import pytest

from stages.parts.datasets.labels import CITYSCAPES
from stages.parts.world.canvas import Canvas
from stages.parts.world.objects import SUBTYPES, draw
from stages.parts.world.pages import page
from stages.parts.world.pen import CAMERA, GAME, PICTURE
from stages.parts.world.streets import street

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


def colours(domain: str, name: str) -> np.ndarray:
    """The mean RGB of a class in each of 40 streets that show it."""
    found = []
    for k in range(40):
        image, label = street(k, 0, domain, 64, 128)  # type: ignore[arg-type]
        shown = label == CITYSCAPES.id(name)
        if shown.sum() > 50:
            found.append(image[shown].mean(axis=0))
    return np.array(found)


@pytest.mark.parametrize("name", ["road", "sidewalk", "vegetation", "terrain", "sky"])
def test_the_domains_have_palettes_of_their_own(name: str) -> None:
    """Their mean colours lie farther apart than chance moves the means of 40 streets."""
    source, target = colours("source", name), colours("target", name)
    gap = np.abs(source.mean(axis=0) - target.mean(axis=0))
    error = np.sqrt(source.var(axis=0) / len(source) + target.var(axis=0) / len(target))
    assert (gap / error).max() > 5


def grain(domain: str) -> float:
    """The median difference of a road pixel from its left neighbour."""
    found = []
    for k in range(20):
        image, label = street(k, 0, domain, 64, 128)  # type: ignore[arg-type]
        road = (label[:, 1:] == CITYSCAPES.id("road")) & (label[:, :-1] == CITYSCAPES.id("road"))
        found.append(np.abs(np.diff(image.astype(int), axis=1)).mean(axis=2)[road])
    return float(np.median(np.concatenate(found)))


def test_the_target_is_taken_by_a_camera_and_the_source_is_not() -> None:
    assert grain("source") == 0 and grain("target") > 1


def test_a_label_lies_on_its_pixels_to_less_than_half_of_one() -> None:
    """A grey square on black with its edges between pixels: where the label says so, more than half is painted."""
    for shift in np.arange(0, 1, 1 / 6):
        canvas = Canvas(32, 32)
        canvas.rect(0, 0, 32, 32, (0, 0, 0), 0)
        canvas.rect(8 + shift, 9 + shift, 20 + shift, 21 + shift, (240, 240, 240), 1)
        image, label = canvas.arrays()
        painted = image[..., 0] / 240
        assert (label[painted > 0.7] == 1).all() and (label[painted < 0.3] == 0).all()
        centre = [np.average(np.arange(32), weights=plane.sum(axis=k)) for plane in (painted, label) for k in (0, 1)]
        assert np.abs(np.array(centre[:2]) - centre[2:]).max() < 0.25


def test_a_stamped_object_is_labelled_where_it_is_seen() -> None:
    canvas = Canvas(64, 128)
    canvas.rect(0, 0, 128, 64, (0, 0, 0), 0)
    picture, _ = draw("bus", "city bus", np.random.default_rng(0), GAME)
    canvas.stamp(picture, 60.3, 50.4, 22.0, 1)
    image, label = canvas.arrays()
    seen = image.sum(axis=2) > 0
    assert (label == 1).sum() > 300 and (seen & (label == 1)).sum() / (seen | (label == 1)).sum() > 0.9
    rows, columns = np.nonzero(label)
    assert abs(rows.max() + 1 - 50.4) < 0.7 and abs((columns.min() + columns.max() + 1) / 2 - 60.3) < 0.7
