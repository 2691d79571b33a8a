"""Label spaces have as many classes as their papers count, each once, in colours that tell them apart."""

import numpy as np
import pytest

from stages.parts.datasets.label_spaces import CITYSCAPES_27, COCO, LABEL_SPACES, VOC, label_space, voc_colours
from stages.parts.datasets.labels import CITYSCAPES
from stages.parts.errors import GraftError
from stages.parts.store.fingerprint import ROOT, imported_by

COUNTS = {"voc": 21, "coco": 81, "cityscapes_27": 27, "coco_stuff_27": 27, "potsdam_3": 3, "small_voc": 7}


@pytest.mark.parametrize(("name", "count"), COUNTS.items())
def test_a_space_has_its_published_number_of_classes_each_once(name: str, count: int) -> None:
    names = label_space(name).names
    assert len(names) == len(set(names)) == count


def test_vocs_colours_are_the_published_ones() -> None:
    assert voc_colours(5) == [(0, 0, 0), (128, 0, 0), (0, 128, 0), (128, 128, 0), (0, 0, 128)]
    assert voc_colours(21)[15] == (192, 128, 128) and voc_colours(21)[20] == (0, 64, 128)
    assert VOC.names[15] == "person" and VOC.names[20] == "tv monitor"
    assert (COCO.names[1], COCO.names[80]) == ("person", "toothbrush")


@pytest.mark.parametrize("name", [name for name in LABEL_SPACES if "cityscapes" not in name])
def test_no_two_classes_look_alike(name: str) -> None:
    assert len(np.unique(label_space(name).palette, axis=0)) == len(label_space(name).names)


def test_cityscapes_27_holds_the_19_in_their_order() -> None:
    assert [name for name in CITYSCAPES_27.names if name in CITYSCAPES.names] == list(CITYSCAPES.names)


def test_only_where_a_default_is_named_does_a_part_know_the_root_lines_labels() -> None:
    """Elsewhere the label space is an argument: a line brings its own."""
    named = {"datasets/label_spaces.py", "sections.py"}  # by name, and as the classes of the root line's params
    parts = ROOT / "stages/parts"
    knowing = {
        path.relative_to(parts).as_posix()
        for path in parts.rglob("*.py")
        if "stages.parts.datasets.labels.LABELS" in imported_by(path)
    }
    assert knowing == named


def test_an_unknown_space_is_one_sentence() -> None:
    with pytest.raises(GraftError, match=r"no label space 'kitti'; take one of cityscapes, .*small_voc"):
        label_space("kitti")
