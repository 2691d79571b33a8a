"""Crop, resize and flip, and the dataset under rare class sampling."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from stages.parts.datasets.labels import LABELS
from stages.parts.errors import GraftError
from stages.parts.learning.branches import Branch, BranchedDataset, read_label
from stages.parts.learning.rare_classes import RareClasses, class_pixels
from stages.parts.learning.transforms import Crop, Flip, ResizeTo
from stages.parts.pasting.paste import PasteCutouts, read_bank
from stages.parts.pasting.place import Scale
from stages.parts.store.samples import Shards, png_bytes
from stages.train import setup
from tests.train.conftest import BUS, CAR, write_bank


def results(draw: int = 0, height: int = 40, width: int = 60) -> dict:
    label = np.zeros((height, width), np.uint8)
    label[:, width // 2 :] = 2
    label[5:10, 5:10] = CAR
    image = np.arange(height * width * 3, dtype=np.uint8).reshape(height, width, 3)
    return {"seed": 0, "draw": draw, "side": "source", "img": image, "gt_seg_map": label}


def test_a_crop_is_of_image_and_label_alike_and_tells_where_it_was():
    whole = results()
    out = Crop(16, 24).transform(dict(whole))
    row, col, height, width = out["box"]
    assert (height, width) == (16, 24)
    assert out["whole_shape"] == (40, 60)
    assert (out["img"] == whole["img"][row : row + 16, col : col + 24]).all()
    assert (out["gt_seg_map"] == whole["gt_seg_map"][row : row + 16, col : col + 24]).all()


def test_crops_reach_every_corner_and_depend_on_the_draw_alone():
    boxes = [Crop(38, 58).transform(results(draw))["box"][:2] for draw in range(200)]
    assert set(boxes) == {(row, col) for row in range(3) for col in range(3)}
    assert boxes[7] == Crop(38, 58).transform(results(7))["box"][:2]


def test_a_crop_filled_by_one_class_is_drawn_again():
    def filled(share: float) -> int:
        crops = [Crop(16, 16, share).transform(results(draw))["gt_seg_map"] for draw in range(100)]
        return sum(np.bincount(crop.ravel()).max() / crop.size >= 0.75 for crop in crops)

    assert filled(1.0) > 60
    assert filled(0.75) < filled(1.0) / 2  # ten tries may all fail: then the last crop is taken


def test_a_crop_is_drawn_again_for_the_wanted_class_up_to_the_tries():
    def found(tries: int) -> int:
        crops = [Crop(16, 16, tries=tries).transform(results(k) | {"wanted": (CAR, 20)}) for k in range(100)]
        return sum((crop["gt_seg_map"] == CAR).sum() > 20 for crop in crops)

    assert found(10) > 3 * found(1) > 0


def test_what_is_smaller_than_the_crop_stays_whole():
    assert Crop(100, 24).transform(results())["img"].shape == (40, 24, 3)


def test_resizing_invents_no_class():
    out = ResizeTo(17, 31).transform(results())
    assert out["img"].shape == (17, 31, 3)
    assert set(np.unique(out["gt_seg_map"])) == {0, 2, CAR}


def test_a_flip_is_told():
    flips = [Flip(0.5).transform(results(draw))["flip"] for draw in range(100)]
    assert 25 < sum(flips) < 75


def sampled(root: Path, budget: float) -> BranchedDataset:
    source = Shards(root / "data/scenes/source")
    bank = read_bank(Shards(root / "data/cutouts/grafted"), LABELS)
    paste = PasteCutouts(bank, 0.0, "image", 1, Scale("height", 0.3, 0.5), "ground", 0.0)
    rare = RareClasses(class_pixels(source), LABELS, 0.01, 10, setup.pasting_adds(source, paste, 0), set(bank), budget)
    return BranchedDataset({"source": Branch(source, [paste], LABELS, rare)}, 100, 0)


def test_every_draw_for_a_novel_class_holds_it(world: Path):
    labels = [sampled(world, 1.0)[k]["data_samples"]["source"].gt_sem_seg.data.numpy() for k in range(20)]
    assert all(np.isin(label, [14, BUS]).any() for label in labels)
    assert {int(label[np.isin(label, [14, BUS])][0]) for label in labels} == {14, BUS}


def test_without_a_budget_for_them_no_novel_class_is_drawn(world: Path):
    labels = [sampled(world, 0.0)[k]["data_samples"]["source"].gt_sem_seg.data.numpy() for k in range(20)]
    assert not any(np.isin(label, [14, BUS]).any() for label in labels)


def test_pixels_are_counted_where_the_index_does_not_tell_them(world: Path):
    source = Shards(world / "data/scenes/source")
    assert "pixels" not in source.rows[0]
    assert [sum(counts.values()) for counts in class_pixels(source)] == [32 * 64] * 6


def test_an_image_without_a_label_that_is_to_be_counted_is_a_sentence(world: Path):
    with pytest.raises(GraftError, match=r"data/scenes/target: sample target-000000 has no label\.png"):
        class_pixels(Shards(world / "data/scenes/target"))


def test_what_pasting_adds_is_what_it_takes_from_the_others(world: Path):
    source = Shards(world / "data/scenes/source")
    change = setup.pasting_adds(source, sampled(world, 0.5).branches["source"].pipeline[0], 0)  # type: ignore[arg-type]
    assert change == {c: 0 for c in change}  # at probability 0
    bank = read_bank(Shards(world / "data/cutouts/grafted"), LABELS)
    paste = PasteCutouts(bank, 1.0, "image", 2, Scale("height", 0.3, 0.5), "ground", 0.0)
    change = setup.pasting_adds(source, paste, 0)
    assert change[14] > 0 and change[0] < 0
    assert sum(change.values()) == pytest.approx(0)


def test_a_bad_label_is_one_sentence():
    image = np.zeros((4, 6, 3), np.uint8)
    bad = {"the id 77": np.full((4, 6), 77, np.uint8), "equal in size": np.zeros((4, 4), np.uint8)}
    for words, label in bad.items():
        with pytest.raises(GraftError, match=words):
            read_label({"label.png": png_bytes(label)}, image, LABELS, "here")
    with pytest.raises(GraftError, match=r"here has no label\.png"):
        read_label({}, image, LABELS, "here")


def test_a_cutout_of_a_class_outside_of_the_label_space_is_one_sentence(world: Path):
    write_bank(world, "grafted", {"cow-0": ("cow", 14, np.full((4, 4, 4), 255, np.uint8))})
    with pytest.raises(GraftError, match=r"data/cutouts/grafted: .* no class 'cow'.*take its cutouts out"):
        read_bank(Shards(world / "data/cutouts/grafted"), LABELS)
