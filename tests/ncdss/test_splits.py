"""Which pictures are whose, from a VOC-shaped set whose counts are known [1]."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stages.ncdss.folds import main as folds
from stages.parts.datasets.label_spaces import COCO, SMALL_VOC, VOC
from stages.parts.discovery.splits import FOLDS, PUBLISHED, discovery, pictures
from stages.parts.errors import GraftError

# Ids that each of eight masks holds. Fold 0's novel classes are 1 to 5.
MASKS = {"a": [1, 5], "b": [6], "c": [6, 2], "d": [20, 7], "e": [3], "f": [], "g": [15, 4, 9], "h": [12]}


def write(folder: Path) -> None:
    folder.mkdir()
    for name, ids in MASKS.items():
        label = np.zeros((6, 20), np.uint8)
        label[5] = 255
        for k, number in enumerate(ids):
            label[1, k] = number
        Image.fromarray(label).save(folder / f"{name}.png")


def test_a_fixture_of_eight_masks_has_the_counts_by_hand() -> None:
    found = pictures(MASKS.items(), discovery(VOC, (), "voc-0"))
    assert found.base == ["b", "c", "d", "g", "h"]
    assert found.novel == ["a", "c", "e", "g"]
    assert found.base_alone == ["b", "d", "h"]


def test_base_alone_and_novel_are_disjoint_and_cover_what_shows_a_class() -> None:
    """The identity of the published VOC lists: base alone + novel = 10 582."""
    for fold, (space, _) in FOLDS.items():
        found = pictures(MASKS.items(), discovery(space, (), fold))
        assert not set(found.novel) & set(found.base_alone)
        assert set(found.novel) | set(found.base_alone) == set(MASKS) - {"f"}
    for counts in (PUBLISHED[f"voc-{k}"] for k in range(4)):
        assert counts.base - counts.both + counts.novel == 10582


@pytest.mark.parametrize(("fold", "names"), [
    ("voc-0", "aeroplane bicycle bird boat bottle"), ("voc-1", "bus car cat chair cow"),
    ("voc-2", "dining table,dog,horse,motorbike,person"), ("voc-3", "potted plant,sheep,sofa,train,tv monitor"),
    ("voc-4", "cat cow dog horse sheep"),
])  # fmt: skip
def test_the_folds_of_voc_have_the_published_names(fold: str, names: str) -> None:
    assert list(discovery(VOC, (), fold).novel) == names.split("," if "," in names else " ")


def test_the_folds_of_coco_are_blocks_of_twenty() -> None:
    novel = [set(discovery(COCO, (), f"coco-{k}").novel) for k in range(4)]
    assert [len(names) for names in novel] == [20] * 4 and set.union(*novel) == set(COCO.names[1:])


def test_the_remap_counts_background_then_base_then_novel() -> None:
    parts = discovery(SMALL_VOC, ("bus", "truck"), None)  # of ids 3 and 2
    assert parts.names == ("background", "car", "train", "person", "motorcycle", "truck", "bus")
    keep, hide = parts.remap(True), parts.remap(False)
    assert keep[[0, 1, 2, 3, 4, 5, 6, 255]].tolist() == [0, 1, 5, 6, 2, 3, 4, 255]
    assert hide[[0, 1, 2, 3, 4, 5, 6, 255]].tolist() == [0, 1, 0, 0, 2, 3, 4, 255]


@pytest.mark.parametrize(("space", "novel", "fold", "said"), [
    (VOC, (), "voc-9", "there is no fold 'voc-9'; take one of voc-0"),
    (SMALL_VOC, (), "voc-0", "voc-0 is of Pascal VOC"),
    (SMALL_VOC, (), None, "at least one novel and one base class"),
    (SMALL_VOC, SMALL_VOC.names[1:], None, "at least one novel and one base class"),
    (SMALL_VOC, ("background", "car"), None, "background is neither"),
    (SMALL_VOC, ("unicorn",), None, "has no class 'unicorn'"),
])  # fmt: skip
def test_classes_that_cannot_be_split_are_one_sentence(space, novel, fold, said) -> None:
    with pytest.raises(GraftError, match=said) as caught:
        discovery(space, novel, fold)
    assert "\n" not in str(caught.value)


def test_the_command_counts_and_says_what_is_not_published(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path / "masks")
    (tmp_path / "names.txt").write_text("".join(f"{name}\n" for name in MASKS))
    for arguments in ([], [str(tmp_path / "names.txt")]):
        with pytest.raises(SystemExit) as stopped:
            folds(["voc-0", str(tmp_path / "masks"), *arguments])
        said, error = capsys.readouterr()
        numbers = [line.split()[2] for line in said.splitlines()]
        assert numbers == ["5", "4", "2"] and "published: 8829" in said
        assert stopped.value.code == 2 and "does not give the published split of voc-0" in error
    folds(["voc-4", str(tmp_path / "masks")])
    assert "not published" in capsys.readouterr().out


def test_a_name_without_a_mask_and_a_fold_that_is_none_are_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path / "masks")
    (tmp_path / "names.txt").write_text("a\nz\n")
    for arguments, said in (
        (["voc-0", str(tmp_path / "masks"), str(tmp_path / "names.txt")], "z.png: no such mask"),
        (["voc-0", str(tmp_path)], "holds no mask NAME.png"),
        (["voc-7", str(tmp_path)], "there is no fold 'voc-7'"),
    ):
        with pytest.raises(SystemExit):
            folds(arguments)
        assert said in capsys.readouterr().err
