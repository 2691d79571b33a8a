"""A picture and its label are read as they were stored, and every fault is one sentence with the file in it."""

import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image, ImageOps

from stages.parts.datasets.folders import Pair
from stages.parts.datasets.idmaps import IdMap, idmaps
from stages.parts.datasets.labels import CITYSCAPES, IGNORE, LABELS
from stages.parts.datasets.reading import fitted, read_image, read_label
from stages.parts.errors import GraftError

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


def test_resizing_keeps_labels_whole_and_leaves_the_right_size_alone() -> None:
    label = np.repeat(np.repeat(np.array([[0, 13], [255, 10]], np.uint8), 4, axis=0), 6, axis=1)
    image = np.repeat(label[..., None], 3, axis=2)
    _, small = fitted(image, label, (2, 2))
    assert small is not None and small.tolist() == [[0, 13], [255, 10]]
    same, kept = fitted(image, label, (8, 12))
    assert same is image and kept is label
    assert fitted(image, None, (2, 3))[0].shape == (2, 3, 3)


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


@pytest.mark.parametrize("orientation", [0, 1, 9, 77])
def test_an_orientation_that_turns_nothing_is_no_fault(tmp_path: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(GREY).save(tmp_path / "a.jpg", exif=exif)
    assert read_image(tmp_path / "a.jpg", labelled=True).shape == (4, 6, 3)


def broken_exif(turn: int) -> bytes:
    """Orientation, and a rational that divides by zero."""
    entries = struct.pack("<HHLL", 0x112, 3, 1, turn) + struct.pack("<HHLL", 0x11A, 10, 1, 38)
    return b"Exif\0\0II*\0\x08\0\0\0" + struct.pack("<H", 2) + entries + bytes(4) + struct.pack("<ll", -1, 0)


@pytest.mark.parametrize(
    "exif",
    [broken_exif(6), broken_exif(1), b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0", b"Exif\0\0no camera wrote this"],
)
def test_broken_exif_spoils_no_picture(tmp_path: Path, exif: bytes) -> None:
    Image.fromarray(GREY).save(tmp_path / "a.jpg", exif=exif)
    assert read_image(tmp_path / "a.jpg").shape in ((4, 6, 3), (6, 4, 3))


@pytest.mark.parametrize("turn", range(1, 9))
def test_every_orientation_is_turned_as_pillow_turns_it(tmp_path: Path, turn: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = turn
    Image.fromarray(np.arange(72, dtype=np.uint8).reshape(4, 6, 3)).save(tmp_path / "a.png", exif=exif)
    with Image.open(tmp_path / "a.png") as picture:
        assert np.array_equal(read_image(tmp_path / "a.png"), np.array(ImageOps.exif_transpose(picture)))
