"""Where pictures and labels come from, and at which size they are shown."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stages.parts.datasets.coarse import COARSE, COCO_STUFF_NAMES, coarse_idmap
from stages.parts.datasets.label_spaces import CITYSCAPES_27, COCO_STUFF_27, POTSDAM_3
from stages.parts.datasets.labels import IGNORE
from stages.parts.datasets.photo_shards import jpeg_bytes
from stages.parts.datasets.splits import Shown, files_split, shards_split, shuffled
from stages.parts.errors import GraftError
from stages.parts.store.samples import Sample, build, png_bytes

AS_IS = Shown(None, False)


def test_cityscapes_27_is_the_label_id_less_seven() -> None:
    ids = coarse_idmap("cityscapes", CITYSCAPES_27, "x")
    given = np.array([[0, 6, 7, 8], [26, 33, 255, 33]], np.uint8)
    assert ids.train_ids(given).tolist() == [[255, 255, 0, 1], [19, 26, 255, 26]]
    assert any(one.img_suffix == "_leftImg8bit.png" for one in ids.layouts)


def test_coco_stuff_27_names_each_of_182_by_its_supercategory() -> None:
    ids = coarse_idmap("coco_stuff_27", COCO_STUFF_27, "x").ids
    assert len(COCO_STUFF_NAMES) == 182 and set(COCO_STUFF_NAMES) == set(COCO_STUFF_27.names)
    of = {0: 9, 2: 11, 9: 8, 16: 7, 27: 6, 43: 5, 56: 2, 61: 3, 71: 0, 77: 1, 83: 4, 33: 10}  # person, car, ... sports
    of |= {91: 17, 93: 22, 95: 20, 100: 13, 101: 12, 105: 23, 120: 14, 148: 21, 154: 26, 170: 18, 180: 19, 181: 24}
    assert {k: ids[k] for k in of} == of and ids[255] == IGNORE


def test_potsdam_3_pairs_the_six() -> None:
    ids = coarse_idmap("potsdam_3", POTSDAM_3, "x")
    assert ids.train_ids(np.array([[0, 1, 2, 3, 4, 5, 255]], np.uint8)).tolist() == [[0, 1, 2, 2, 0, 1, 255]]


def test_a_coarse_map_in_another_label_space_is_a_sentence() -> None:
    assert set(COARSE) == {"coco_stuff_27", "potsdam_3"}
    with pytest.raises(GraftError, match=r"x\.ids: there is no id map 'potsdam_3'"):
        coarse_idmap("potsdam_3", CITYSCAPES_27, "x.ids")


def picture(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3)).astype(np.uint8)


def test_the_published_size_is_the_square_in_the_middle_of_the_shortest_side() -> None:
    label = np.zeros((40, 80), np.uint8)
    label[:, 40:] = 1
    image, shown = Shown(20, True)(picture(40, 80), label)
    assert image.shape == (20, 20, 3) and shown is not None
    assert shown.tolist() == [[0] * 10 + [1] * 10] * 20


def test_a_multiple_cuts_off_as_little_as_it_can_on_both_sides() -> None:
    given = picture(30, 45)
    image, label = Shown(None, False, 14)(given, given[..., 0])
    assert label is not None and np.array_equal(image, given[1:29, 1:43])
    assert np.array_equal(label, given[1:29, 1:43, 0])
    assert Shown(None, False)(given, None)[0].shape == (30, 45, 3)
    with pytest.raises(GraftError, match="8 x 45 pixels is smaller than"):
        Shown(None, False, 14)(picture(8, 45), None)


def shards(folder: Path, name: str = "image.png") -> Path:
    image = picture(8, 16)
    content = {name: jpeg_bytes(image) if name.endswith("jpg") else png_bytes(image)}
    build(folder, {"a": "k"}, lambda uids: [Sample("a", "k", {}, content)], title="x")
    return folder


@pytest.mark.parametrize("name", ["image.png", "image.jpg"])
def test_shards_of_either_kind_are_read_and_labels_are_only_where_they_are_needed(tmp_path: Path, name: str) -> None:
    folder = shards(tmp_path / "x", name)
    split = shards_split(folder, False, AS_IS)
    image, label = split.read("a")
    assert image.shape == (8, 16, 3) and label is None and list(split.hashes) == ["a"]
    assert abs(image.astype(int) - picture(8, 16)).mean() < (1 if name == "image.png" else 90)
    with pytest.raises(GraftError, match="sample a has no label; name a labelled split"):
        shards_split(folder, True, AS_IS).read("a")
    with pytest.raises(ValueError, match="without labels"):
        split.labelled(["a"])


def test_an_empty_folder_is_a_sentence(tmp_path: Path) -> None:
    build(tmp_path / "none", {}, lambda uids: [], title="x")
    with pytest.raises(GraftError, match="none holds no picture"):
        shards_split(tmp_path / "none", False, AS_IS)
    (tmp_path / "files").mkdir()
    with pytest.raises(GraftError, match="files holds no file that ends in"):
        files_split(str(tmp_path / "files"), None, "potsdam_3", POTSDAM_3, AS_IS, "x.ids")


def test_files_are_read_with_their_id_map(tmp_path: Path) -> None:
    for kind in ("images", "labels"):
        (tmp_path / kind).mkdir()
    Image.fromarray(picture(6, 6)).save(tmp_path / "images/t.png")
    Image.fromarray(np.full((6, 6), 4, np.uint8)).save(tmp_path / "labels/t.png")
    split = files_split(str(tmp_path / "images"), str(tmp_path / "labels"), "potsdam_3", POTSDAM_3, AS_IS, "x.ids")
    (image,), labels = split.labelled(["t"])
    assert np.array_equal(image, picture(6, 6)) and (labels == 0).all()


def test_an_epoch_shows_each_picture_once_but_for_an_incomplete_batch() -> None:
    uids = [str(k) for k in range(10)]
    steps = list(shuffled(uids, np.random.default_rng(0), 3))
    assert [len(step) for step in steps] == [3, 3, 3] and len({uid for step in steps for uid in step}) == 9
    assert sorted(next(shuffled(uids, np.random.default_rng(0), 99))) == uids
    assert (
        steps == list(shuffled(uids, np.random.default_rng(0), 3)) != list(shuffled(uids, np.random.default_rng(1), 3))
    )
