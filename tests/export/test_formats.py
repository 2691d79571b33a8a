"""Exports round-trip: what another tool reads is the mask that was written, to the pixel."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as rle

from stages.export import coco_instances, hugging_face, mmseg_folders
from stages.export.cutout import Cutout
from stages.parts.datasets.labels import CITYSCAPES, LabelSpace


def cutouts() -> list[Cutout]:
    """Of two classes and two sizes; one mask is empty, one full, one has two parts."""
    found = []
    for k, (name, height, width) in enumerate(
        [("truck", 48, 64), ("truck", 64, 40), ("train", 64, 64), ("train", 8, 8)]
    ):
        rng = np.random.default_rng(k)
        mask = np.zeros((height, width), bool)
        if k < 2:
            mask[5:20, 3:30] = mask[30:40, 10:20] = True
        mask |= k == 3
        doubt = np.zeros_like(mask)
        doubt[4:7, 3:30] = k == 0  # on both sides of the outline
        image = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
        found.append(Cutout(f"{name}-{k:06d}", name, CITYSCAPES.id(name), image, mask, f"a {name} in the snow", doubt))
    return found


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as picture:
        return np.array(picture)


def test_mmseg_reads_back_image_and_mask_and_the_palette_is_whole(tmp_path: Path) -> None:
    mmseg_folders.write(cutouts(), tmp_path, CITYSCAPES)
    for cutout in cutouts():
        with Image.open(tmp_path / f"ann_dir/train/{cutout.uid}.png") as label:
            assert label.mode == "P" and len(label.getpalette() or []) == 3 * 256
            assert np.array_equal(np.array(label) == cutout.train_id, cutout.mask & ~cutout.doubt)
            assert set(np.unique(np.array(label))) <= {cutout.train_id, 255}
        assert np.array_equal(pixels(tmp_path / f"img_dir/train/{cutout.uid}.png"), cutout.image)


def test_another_label_space_brings_its_own_classes_and_colours(tmp_path: Path) -> None:
    space = LabelSpace("two", (("road", (1, 2, 3)), ("train", (9, 8, 7))))
    (shown,) = [replace(one, train_id=space.id(one.class_name)) for one in cutouts() if one.uid == "train-000003"]
    for write, folder in ((mmseg_folders.write, tmp_path / "mmseg"), (coco_instances.write, tmp_path / "coco")):
        folder.mkdir()
        write([shown], folder, space)
    with Image.open(tmp_path / f"mmseg/ann_dir/train/{shown.uid}.png") as label:
        assert (np.array(label) == 1).all() and np.array(label.convert("RGB"))[0, 0].tolist() == [9, 8, 7]
    meta = json.loads((tmp_path / "mmseg/meta.json").read_text())
    assert (meta["classes"], meta["palette"]) == (["road", "train"], [[1, 2, 3], [9, 8, 7]])
    content = json.loads((tmp_path / "coco/instances.json").read_text())
    assert content["categories"] == [{"id": 0, "name": "road"}, {"id": 1, "name": "train"}]
    assert content["annotations"][0]["category_id"] == 1


def test_mmsegs_own_dataset_takes_the_folder(tmp_path: Path) -> None:
    from mmseg.datasets import BaseSegDataset

    mmseg_folders.write(cutouts(), tmp_path, CITYSCAPES)
    meta = json.loads((tmp_path / "meta.json").read_text())
    prefix = {"img_path": "img_dir/train", "seg_map_path": "ann_dir/train"}
    dataset = BaseSegDataset(
        data_root=str(tmp_path), data_prefix=prefix, metainfo={"classes": meta["classes"], "palette": meta["palette"]},
        img_suffix=".png", pipeline=[{"type": "LoadImageFromFile"}, {"type": "mmseg.LoadAnnotations"}],
    )  # fmt: skip
    assert len(dataset) == 4
    for item in dataset:
        cutout = next(one for one in cutouts() if one.uid == Path(item["img_path"]).stem)
        assert np.array_equal(item["gt_seg_map"] == cutout.train_id, cutout.mask & ~cutout.doubt)


def test_coco_decodes_to_the_mask_and_agrees_on_area_and_box(tmp_path: Path) -> None:
    coco_instances.write(cutouts(), tmp_path, CITYSCAPES)
    content = json.loads((tmp_path / "instances.json").read_text())
    files = {image["id"]: image for image in content["images"]}
    names = {category["id"]: category["name"] for category in content["categories"]}
    for one, cutout in zip(content["annotations"], cutouts(), strict=True):
        assert np.array_equal(rle.decode(one["segmentation"]).astype(bool), cutout.mask)
        assert one["area"] == cutout.mask.sum() and names[one["category_id"]] == cutout.class_name
        assert np.array_equal(pixels(tmp_path / "images" / files[one["image_id"]]["file_name"]), cutout.image)
    assert content["annotations"][0]["bbox"] == [3.0, 5.0, 27.0, 35.0]


def test_cocos_own_reader_takes_the_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from pycocotools.coco import COCO

    coco_instances.write(cutouts(), tmp_path, CITYSCAPES)
    coco = COCO(tmp_path / "instances.json")
    assert len(coco.getAnnIds(catIds=[CITYSCAPES.id("train")])) == 2
    assert np.array_equal(coco.annToMask(coco.loadAnns([1])[0]).astype(bool), cutouts()[0].mask)


def test_hugging_faces_folder_reads_back_and_has_a_card(tmp_path: Path) -> None:
    hugging_face.write(cutouts(), tmp_path, CITYSCAPES)
    rows = [json.loads(line) for line in (tmp_path / "train/metadata.jsonl").read_text().splitlines()]
    for row, cutout in zip(rows, cutouts(), strict=True):
        assert (row["class"], row["train_id"], row["prompt"]) == (cutout.class_name, cutout.train_id, cutout.prompt)
        assert row["uid"] == cutout.uid
        assert np.array_equal(pixels(tmp_path / "train" / row["file_name"]), cutout.image)
        assert np.array_equal(pixels(tmp_path / "train" / row["mask_file_name"]) == 255, cutout.mask)
    card = (tmp_path / "README.md").read_text()
    assert card.startswith("---\n") and "4 generated images of truck (2), train (2)" in card and "n<1K" in card


@pytest.mark.parametrize("write", [mmseg_folders.write, coco_instances.write, hugging_face.write])
def test_no_cutout_is_an_empty_dataset(write: Callable[..., None], tmp_path: Path) -> None:
    write([], tmp_path, CITYSCAPES)
    assert not list(tmp_path.rglob("*.png"))
