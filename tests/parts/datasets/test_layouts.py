"""The names that published sets and converters give their files, and those that a user tells."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stages.parts.datasets.folders import pairs
from stages.parts.datasets.idmaps import Layout, idmap, idmaps
from stages.parts.datasets.labels import LABELS
from stages.parts.datasets.reading import read_label
from stages.parts.errors import GraftError
from stages.scenes.params import Folder

IDMAPS = idmaps(LABELS)


def put(path: Path, value: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((4, 6), value, np.uint8)).save(path)


@pytest.mark.parametrize(
    ("ids", "image", "label", "name"),
    [
        ("gta5", "00001.png", "00001.png", "00001"),
        ("synthia", "0000000.png", "0000000.png", "0000000"),
        ("cityscapes", "aachen/a_0_leftImg8bit.png", "aachen/a_0_gtFine_labelIds.png", "aachen/a_0"),
        ("cityscapes", "a/b_0_leftImg8bit.png", "a/b_0_gtCoarse_labelIds.png", "a/b_0"),
        ("train_ids", "aachen/a_0_leftImg8bit.png", "aachen/a_0_gtFine_labelTrainIds.png", "aachen/a_0"),
        ("train_ids", "0.png", "0_labelTrainIds.png", "0"),
        ("train_ids", "0.jpg", "0_train_id.png", "0"),
        ("train_ids", "0.jpg", "0.png", "0"),
        ("bdd100k", "ab-cd.jpg", "ab-cd_train_id.png", "ab-cd"),
        ("bdd100k", "ab-cd.jpg", "ab-cd.png", "ab-cd"),
        ("acdc", "fog/G_0_rgb_anon.png", "fog/G_0_gt_labelIds.png", "fog/G_0"),
        ("train_ids", "fog/G_0_rgb_anon.png", "fog/G_0_gt_labelTrainIds.png", "fog/G_0"),
        ("mapillary", "x_y.jpg", "x_y.png", "x_y"),
        ("camvid_colours", "1.png", "1_L.png", "1"),
    ],
)
def test_a_published_layout_is_read_by_its_id_map_alone(
    tmp_path: Path, ids: str, image: str, label: str, name: str
) -> None:
    put(tmp_path / "images" / image)
    put(tmp_path / "labels" / label)
    (pair,) = pairs(tmp_path / "images", tmp_path / "labels", IDMAPS[ids])
    assert pair.name == name and pair.label == tmp_path / "labels" / label


@pytest.mark.parametrize("other", ["0_labelTrainIds.png", "0_color.png", "0_instanceIds.png", "0_train_id.png"])
def test_another_kind_of_label_beside_is_no_label(tmp_path: Path, other: str) -> None:
    """As the converters of DAFormer leave GTA5's folder: 0.png, and 0_labelTrainIds.png beside it."""
    put(tmp_path / "images/0.png")
    put(tmp_path / "labels/0.png", 7)
    put(tmp_path / "labels" / other, 0)
    (pair,) = pairs(tmp_path / "images", tmp_path / "labels", IDMAPS["gta5"])
    assert (read_label(pair, IDMAPS["gta5"], (4, 6)) == 0).all() and pair.label == tmp_path / "labels/0.png"


def test_of_two_kinds_the_map_takes_its_own(tmp_path: Path) -> None:
    put(tmp_path / "images/0.png")
    put(tmp_path / "labels/0.png", 7)
    put(tmp_path / "labels/0_labelTrainIds.png", 14)
    (pair,) = pairs(tmp_path / "images", tmp_path / "labels", IDMAPS["train_ids"])
    assert (read_label(pair, IDMAPS["train_ids"], (4, 6)) == 14).all()


def test_a_user_names_the_ends_of_his_own_files(tmp_path: Path) -> None:
    put(tmp_path / "rgb/0_cam.jpg")
    put(tmp_path / "rgb/0_depth.jpg")
    put(tmp_path / "ann/0_seg.png", 1)
    given = Folder(
        images="rgb", labels="ann", ids={1: "road", 0: "ignore"}, img_suffix="_cam.jpg", seg_map_suffix="_seg.png"
    )
    (pair,) = pairs(tmp_path / "rgb", tmp_path / "ann", given.id_map("here"))
    assert pair.name == "0" and pair.image.name == "0_cam.jpg"


def test_without_a_match_the_sentence_says_how_to_name_the_ends(tmp_path: Path) -> None:
    put(tmp_path / "images/0_rgb.png")
    put(tmp_path / "labels/0_sem.png")
    with pytest.raises(GraftError, match=r"0_sem\.png is a label without its image .*img_suffix and seg_map_suffix"):
        pairs(tmp_path / "images", tmp_path / "labels", IDMAPS["gta5"])


@pytest.mark.parametrize("table", [{}, {7: "ignore"}, {0: "ignore", 255: "ignore"}])
def test_a_table_that_names_no_class_is_refused(table: dict[int, str]) -> None:
    """Taken for no table, it would read GTA5's road as a traffic sign."""
    with pytest.raises(GraftError, match=r"here: the table names no class; write what the values mean"):
        idmap(table, LABELS, "here")
    with pytest.raises(GraftError, match="names no class"):
        Folder(images="a", labels="b", ids=table).id_map("here")


def test_mapillary_knows_its_66_values_and_the_novel_classes() -> None:
    table = IDMAPS["mapillary"].ids
    assert len(table) == 66 and {table[54], table[58], table[61]} == {LABELS.id(n) for n in ("bus", "train", "truck")}
    assert IDMAPS["mapillary"].layouts == (Layout(),)
