"""A palette PNG gives back every id, 255 too, however few classes there are."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from stages.parts.datasets.label_spaces import COCO, VOC, voc_colours
from stages.parts.datasets.palette import palette_png_array, palette_png_bytes
from stages.parts.store.samples import png_bytes


@pytest.mark.parametrize("classes", [3, 10, 16, 17, 21, 81])
def test_ids_and_255_come_back(classes: int) -> None:
    label = np.random.default_rng(0).integers(0, classes, (9, 7), dtype=np.uint8)
    label[0, 0] = 255
    content = palette_png_bytes(label, np.array(voc_colours(classes), np.uint8))
    assert (palette_png_array(content) == label).all()
    assert palette_png_bytes(label, np.array(voc_colours(classes), np.uint8)) == content


@pytest.mark.parametrize("space", [VOC, COCO])
def test_a_viewer_sees_the_classes_colours(space) -> None:
    label = np.array([[0, 1, 255]], np.uint8)
    with Image.open(io.BytesIO(palette_png_bytes(label, space.palette))) as image:
        assert len(image.getpalette() or ()) == 3 * 256
        colours = np.array(image.convert("RGB"))
    assert (colours[0, :2] == space.palette[:2]).all() and colours[0, 2].tolist() == [224, 224, 192]


def test_what_is_no_label_is_refused() -> None:
    with pytest.raises(ValueError, match="uint8"):
        palette_png_bytes(np.zeros((2, 2), np.int64), VOC.palette)
    with pytest.raises(ValueError, match="uint8"):
        palette_png_bytes(np.zeros((0, 2), np.uint8), VOC.palette)
    with pytest.raises(ValueError, match="mode L"):
        palette_png_array(png_bytes(np.zeros((2, 2), np.uint8)))
