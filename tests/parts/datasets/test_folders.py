"""A user's folders are read as their makers meant them, and every fault is one sentence with the file in it."""

import os
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from stages.parts.datasets.folders import Pair, fitted, pairs, read_image, read_label
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


def labelled(folder: Path, label: Path) -> Pair:
    return Pair("a", put(folder / "image.png", GREY), label)


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


def test_synthias_sixteen_bit_colour_labels_keep_their_first_channel(tmp_path: Path) -> None:
    rgb = np.zeros((4, 6, 3), np.uint16)
    rgb[..., 0], rgb[..., 1] = 8, 4321  # a car, instance 4321
    cv2.imwrite(str(tmp_path / "label.png"), rgb[..., ::-1])
    assert (read_label(labelled(tmp_path, tmp_path / "label.png"), IDMAPS["synthia"], (4, 6)) == 13).all()


def test_a_palette_label_is_read_as_ids_not_as_colours(tmp_path: Path) -> None:
    palette = Image.fromarray(np.full((4, 6), 7, np.uint8), "P")
    palette.putpalette([i % 251 for i in range(768)])
    palette.save(tmp_path / "label.png")
    assert (read_label(labelled(tmp_path, tmp_path / "label.png"), IDMAPS["gta5"], (4, 6)) == 0).all()


def test_coloured_labels_are_read_by_their_colours(tmp_path: Path) -> None:
    colours = np.zeros((1, 3, 3), np.uint8)
    colours[0] = [(128, 64, 128), (64, 0, 128), (192, 128, 192)]
    pair = Pair("a", tmp_path / "a.png", put(tmp_path / "a_L.png", colours))
    assert names(read_label(pair, IDMAPS["camvid_colours"], (1, 3))) == ["road", "car", "ignore"]


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


def test_resizing_keeps_labels_whole_and_leaves_the_right_size_alone() -> None:
    label = np.repeat(np.repeat(np.array([[0, 13], [255, 10]], np.uint8), 4, axis=0), 6, axis=1)
    image = np.repeat(label[..., None], 3, axis=2)
    _, small = fitted(image, label, (2, 2))
    assert small is not None and small.tolist() == [[0, 13], [255, 10]]
    same, kept = fitted(image, label, (8, 12))
    assert same is image and kept is label
    assert fitted(image, None, (2, 3))[0].shape == (2, 3, 3)


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


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (np.full((4, 6), 77, np.uint8), ["no id 77", "`ids` in params.yaml"]),
        (np.zeros((3, 6), np.uint8), ["6 x 3 pixels", "6 x 4"]),
        (np.zeros((4, 6, 3), np.uint8), ["colour picture"]),
        (b"\x89PNG\r\n\x1a\n no picture at all", ["no readable PNG"]),
        (b"\x89PNG\r\n\x1a\n" + b"\0" * 16 + b"\x10\x02" + b"cut", ["no readable PNG"]),
    ],
)
def test_a_fault_of_a_label_is_one_sentence(tmp_path: Path, content: np.ndarray | bytes, words: list[str]) -> None:
    path = tmp_path / "label.png"
    path.write_bytes(content) if isinstance(content, bytes) else put(path, content)
    with pytest.raises(GraftError) as caught:
        read_label(labelled(tmp_path, path), IDMAPS["camvid"], (4, 6))
    said = str(caught.value)
    assert "\n" not in said and all(word in said for word in ["label.png", *words]), said


def test_an_unknown_colour_is_named(tmp_path: Path) -> None:
    pair = Pair("a", tmp_path / "a.png", put(tmp_path / "a_L.png", np.full((1, 1, 3), 7, np.uint8)))
    with pytest.raises(GraftError, match=r"no colour \(7, 7, 7\)"):
        read_label(pair, IDMAPS["camvid_colours"], (1, 1))


def test_a_damaged_image_is_named(tmp_path: Path) -> None:
    path = put(tmp_path / "a.png", np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8))
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(GraftError, match=r"a\.png is no readable picture"):
        read_image(path)


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_grey_labels_of_few_bits_hold_the_ids_that_were_stored(tmp_path: Path, bits: int) -> None:
    """Pillow stretches them to 0 .. 255 as it reads; a bool array saved by it is such a label."""
    stored = np.arange(24, dtype=np.uint8).reshape(4, 6) % 2**bits
    packed = np.packbits(np.unpackbits(stored[..., None], axis=2)[..., -bits:].reshape(4, -1), axis=1)
    rows = b"".join(b"\0" + row.tobytes() for row in packed)
    header = struct.pack(">IIBBBBB", 6, 4, bits, 0, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    with open(tmp_path / "label.png", "wb") as file:
        file.write(b"\x89PNG\r\n\x1a\n")
        for kind, content in chunks:
            file.write(struct.pack(">I", len(content)) + kind + content)
            file.write(struct.pack(">I", zlib.crc32(kind + content)))
    table = IdMap("a table", {k: k for k in range(16)})
    assert np.array_equal(read_label(labelled(tmp_path, tmp_path / "label.png"), table, (4, 6)), stored)


def test_an_image_of_sixteen_bits_is_refused_and_one_of_a_phone_is_upright(tmp_path: Path) -> None:
    Image.fromarray(np.full((4, 6), 3000, np.uint16)).save(tmp_path / "deep.png")
    with pytest.raises(GraftError, match=r"deep\.png is no readable picture \(its mode is I;16: more than 8 bits"):
        read_image(tmp_path / "deep.png")
    turned = Image.fromarray(GREY)
    exif = turned.getexif()
    exif[0x0112] = 6
    turned.save(tmp_path / "phone.jpg", exif=exif)
    assert read_image(tmp_path / "phone.jpg").shape == (6, 4, 3)
    with pytest.raises(GraftError, match="its EXIF turns it, and its label has none"):
        read_image(tmp_path / "phone.jpg", labelled=True)
    assert read_image(put(tmp_path / "a.png", GREY), labelled=True).shape == (4, 6, 3)


def test_a_picture_too_large_to_be_one_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 8)
    with pytest.raises(GraftError, match="is no readable picture"):
        read_image(put(tmp_path / "a.png", GREY))
    with pytest.raises(GraftError, match="is no readable PNG"):
        read_label(Pair("a", tmp_path / "a.png", put(tmp_path / "b.png", GREY)), IDMAPS["gta5"], (4, 6))


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
