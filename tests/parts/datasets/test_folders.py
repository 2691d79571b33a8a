"""A user's folders are read as their makers meant them, and every fault is one sentence with the file in it."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stages.parts.datasets.folders import Pair, pairs
from stages.parts.datasets.idmaps import IdMap, idmap, idmaps
from stages.parts.datasets.label_spaces import CITYSCAPES_27, SMALL_VOC, VOC
from stages.parts.datasets.labels import CITYSCAPES, IGNORE, LABELS, LabelSpace
from stages.parts.errors import GraftError
from stages.parts.store.samples import Sample, build
from stages.scenes.sources import Filed

GREY = np.full((4, 6, 3), 90, np.uint8)
IDMAPS = idmaps(LABELS)


def put(path: Path, array: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)
    return path


def names(train_ids: np.ndarray) -> list[str]:
    return ["ignore" if i == IGNORE else CITYSCAPES.names[i] for i in train_ids.ravel().tolist()]


@pytest.mark.parametrize(
    ("dataset", "ids", "meant"),
    [
        ("cityscapes", [7, 11, 23, 26, 28, 31, 6, 29], "road building sky car bus train ignore ignore"),
        ("gta5", [7, 33, 34, 0, 27, 32, 22, 25], "road bicycle ignore ignore truck motorcycle terrain rider"),
        ("synthia", [3, 1, 2, 22, 0, 20, 16, 11], "road sky building ignore ignore train terrain bicycle"),
        ("camvid", [0, 3, 8, 11, 9, 4, 5, 10], "sky road car ignore person sidewalk vegetation rider"),
        ("voc", [0, 6, 7, 19, 255, 15, 14, 2], "ignore bus car train ignore person motorcycle bicycle"),
        ("coco_stuff", [0, 5, 6, 148, 156, 255, 90, 139], "person bus train road sky ignore ignore sidewalk"),
        ("train_ids", [0, 14, 15, 16, 255, 18, 10, 2], "road truck bus train ignore bicycle sky building"),
    ],
)
def test_the_ids_of_a_published_dataset_mean_its_classes(dataset: str, ids: list[int], meant: str) -> None:
    said = names(IDMAPS[dataset].train_ids(np.array([ids], np.uint8)))
    assert said == meant.split()


def test_no_two_maps_disagree_about_what_they_can_hold() -> None:
    """Every value goes to a class or to 255; each class of the 19 is reached by GTA5's and SYNTHIA's."""
    for one in IDMAPS.values():
        assert set([*one.ids.values(), *one.colours.values()]) <= {*range(19), IGNORE}
    assert {*range(19), IGNORE} == set(IDMAPS["gta5"].ids.values()) == set(IDMAPS["synthia"].ids.values())


@pytest.mark.parametrize(
    ("dataset", "space", "ids", "meant"),
    [
        ("cityscapes", CITYSCAPES_27, [7, 8, 9, 29, 33, 6, 255], [0, 1, 2, 22, 26, 255, 255]),
        ("voc", VOC, [0, 1, 14, 20, 255], [0, 1, 14, 20, 255]),
        ("voc", SMALL_VOC, [0, 7, 6, 14, 12], [0, 1, 3, 6, 255]),  # it says motorcycle, and has no dog
        ("gta5", VOC, [7, 24, 26], [255, 15, 7]),
        ("train_ids", SMALL_VOC, [0, 6, 255], [0, 6, 255]),
    ],
)
def test_a_map_gives_the_ids_of_the_space_it_is_asked_for(
    dataset: str, space: LabelSpace, ids: list[int], meant: list[int]
) -> None:
    found = idmap(dataset, space, "here").train_ids(np.array([ids], np.uint8))
    assert found.tolist() == [meant]


def test_a_class_that_another_space_has_is_none_of_this_one() -> None:
    with pytest.raises(ValueError, match=r"small world's photos .* has no id 7"):
        idmap("train_ids", SMALL_VOC, "here").train_ids(np.array([[7]], np.uint8))
    with pytest.raises(GraftError, match="here: 'road' is no class; use 'ignore' or one of background, car"):
        idmap({1: "road"}, SMALL_VOC, "here")


def test_cityscapes_nested_folders_are_paired_by_their_ends(tmp_path: Path) -> None:
    put(tmp_path / "leftImg8bit/aachen/aachen_0_leftImg8bit.png", GREY)
    for end in ("labelIds", "color", "instanceIds"):
        put(tmp_path / f"gtFine/aachen/aachen_0_gtFine_{end}.png", GREY[..., 0])
    (pair,) = pairs(tmp_path / "leftImg8bit", tmp_path / "gtFine", IDMAPS["cityscapes"])
    assert pair.name == "aachen/aachen_0" and pair.slug == "aachen_aachen_0"
    assert pair.label == tmp_path / "gtFine/aachen/aachen_0_gtFine_labelIds.png"


def test_voc_images_without_a_label_are_passed_over(tmp_path: Path) -> None:
    for name in ("a", "b"):
        put(tmp_path / f"images/{name}.jpg", GREY)
    put(tmp_path / "labels/b.png", GREY[..., 0])
    assert [pair.name for pair in pairs(tmp_path / "images", tmp_path / "labels", IDMAPS["voc"])] == ["b"]


def test_a_table_of_the_users_own(tmp_path: Path) -> None:
    own = idmap({1: "road", 9: "ignore"}, LABELS, "params.yaml scenes.val.ids")
    assert names(own.train_ids(np.array([[1, 9, 255]], np.uint8))) == ["road", "ignore", "ignore"]
    with pytest.raises(GraftError, match=r"scenes\.val\.ids: 'tram' is no class; use 'ignore' or one of road"):
        idmap({1: "tram"}, LABELS, "params.yaml scenes.val.ids")
    with pytest.raises(GraftError, match=r"scenes\.val\.ids: there is no id map 'kitti'; take one of train_ids"):
        idmap("kitti", LABELS, "params.yaml scenes.val.ids")


def faults(folder: Path) -> dict[str, tuple[Path, Path | None, IdMap]]:
    """Every fault that a pair of folders can have; the words of each are below."""
    images, labels, plain = folder / "images", folder / "labels", IDMAPS["camvid"]
    put(images / "a.png", GREY)
    put(labels / "a.png", np.zeros((4, 6), np.uint8))
    (folder / "empty").mkdir()
    put(folder / "two/a.png", GREY)
    put(folder / "two/a.jpg", GREY)
    put(folder / "alike/a b.png", GREY)
    put(folder / "alike/a_b.png", GREY)
    put(folder / "more/a.png", GREY)
    put(folder / "more/b.png", GREY)
    return {
        "missing folder": (folder / "nowhere", labels, plain),
        "empty folder": (folder / "empty", labels, plain),
        "image without label": (folder / "more", labels, plain),
        "label without image": (images, folder / "more", plain),
        "two pictures of a name": (folder / "two", None, plain),
        "names that collide": (folder / "alike", None, plain),
    }


WORDS = {
    "missing folder": ["nowhere", "no such folder", "params.yaml"],
    "empty folder": ["empty", "holds no file that ends in .png or .jpg"],
    "image without label": ["more/b.png", "without its label", "labels/b.png"],
    "label without image": ["more/b.png", "without its image"],
    "two pictures of a name": ["a.jpg", "a.png", "one name"],
    "names that collide": ["a b.png", "a_b.png", "rename"],
}


@pytest.mark.parametrize("fault", WORDS)
def test_a_fault_of_the_folders_is_one_sentence(tmp_path: Path, fault: str) -> None:
    with pytest.raises(GraftError) as caught:
        pairs(*faults(tmp_path)[fault])
    said = str(caught.value)
    assert "\n" not in said and all(word in said for word in WORDS[fault]), said


def test_long_names_are_samples_of_their_own_that_fit_into_a_tar(tmp_path: Path) -> None:
    names_of = ["city/" * 20 + end for end in ("a", "b")]
    for name in names_of:
        put(tmp_path / f"{name}.png", GREY)
    slugs = [pair.slug for pair in pairs(tmp_path, None, IDMAPS["gta5"])]
    assert len(set(slugs)) == 2 and all(len(slug) <= 60 for slug in slugs)
    made = [Sample(f"source-{slug}", "k", {}, {"self_attention.npy": b"x"}) for slug in slugs]
    build(tmp_path / "out", {one.uid: "k" for one in made}, lambda _: made, title="scenes")


def test_a_name_that_is_no_text_is_a_sentence(tmp_path: Path) -> None:
    try:
        (tmp_path / os.fsdecode(b"caf\xe9.png")).write_bytes(b"x")
    except OSError:
        pytest.skip("this file system takes no such name")
    with pytest.raises(GraftError, match="its name is no UTF-8; rename it"):
        pairs(tmp_path, None, IDMAPS["gta5"])


def test_a_renamed_picture_is_another_sample_though_its_uid_is_the_same(tmp_path: Path) -> None:
    keys = [
        Filed(IDMAPS["gta5"], None, {"source-a_b": Pair(name, put(tmp_path / f"{name}.png", GREY), None)}).keys()
        for name in ("a b", "a_b")
    ]
    assert keys[0] != keys[1]
