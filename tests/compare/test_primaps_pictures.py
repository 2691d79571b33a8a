"""The pictures of PriMaPs-EM on the page are of its own weights and proposals, in the classes' colours."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from stages.compare.failures import of_primaps
from stages.compare.primaps_pictures import pictures_sheet, told_pictures
from stages.parts.datasets.label_spaces import label_space
from stages.parts.drawing.colours import palette
from stages.parts.drawing.sheets import GAP, LINE, TILE
from stages.parts.errors import GraftError
from stages.parts.sections import read
from stages.parts.store.samples import Shards, png_array
from stages.preflight import Params
from stages.primaps import fit, initialise, propose
from tests.primaps.conftest import made, world  # noqa: F401  (a world of fourteen streets)


def test_they_show_truth_and_what_the_heads_say(world: Path) -> None:  # noqa: F811
    propose.main(["streets"])
    initialise.main(["streets", "0"])
    fit.main(["streets", "0"])
    params = read(Params)
    told = told_pictures(params, ("baseline", "em"))
    scenes = Shards("data/scenes/test")
    assert [uid for uid, *_ in told] == [row["uid"] for row in scenes.rows]
    names = len(label_space("cityscapes").names)
    for uid, image, truth, said in told:
        assert np.array_equal(image, png_array(scenes.read(uid)["image.png"]))
        assert np.array_equal(truth, png_array(scenes.read(uid)["label.png"]))
        assert said.keys() == {"baseline", "em"} and all(one.shape == truth.shape for one in said.values())
        assert set(np.unique(said["em"])) <= {*range(names), 255}
    found, _ = of_primaps(params)
    assert all(np.array_equal(one[3], other[3]["em"]) for one, other in zip(found, told, strict=True))
    sheet = pictures_sheet(params)
    assert sheet.shape == (LINE + 4 * (TILE + GAP), 5 * (256 + GAP), 3)
    column = sheet[LINE : LINE + TILE, 2 * (256 + GAP) : 2 * (256 + GAP) + 256].reshape(-1, 3)
    shown = {tuple(colour) for colour in np.unique(column, axis=0).tolist()}
    assert shown <= {tuple(colour) for colour in palette(label_space("cityscapes"), ()).tolist()}


def test_without_the_line_there_is_no_picture(world: Path) -> None:  # noqa: F811
    with pytest.raises(GraftError, match=r"is missing; run `python -m stages\.primaps\.fit"):
        told_pictures(read(Params), ("em",))
