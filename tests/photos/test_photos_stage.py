"""The photos are shards that every reader of pictures and labels takes, and VOC's folders for everyone else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from stages.parts.store.photo_shards import PhotoShards, jpeg_array, jpeg_bytes

from stages.export import voc
from stages.parts.datasets.label_spaces import SMALL_VOC
from stages.parts.learning.branches import Branch, BranchedDataset
from stages.parts.store.samples import Shards, png_array
from stages.parts.world.photos import photo
from stages.photos.__main__ import main

SMALL = {"train": 5, "val": 2, "test": 3}


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    counts = ", ".join(f"{split}: {count}" for split, count in SMALL.items())
    Path("params.yaml").write_text(f"photos: {{{counts}, side: 48, seed: 3}}\n")
    main([])
    return tmp_path / "data/photos"


def test_a_row_says_what_the_label_shows(photos: Path) -> None:
    for split, count in SMALL.items():
        shards = PhotoShards(photos / split)
        assert len(shards) == count
        for k, (row, files) in enumerate(shards):
            image, label = png_array(files["image.png"]), png_array(files["label.png"])
            truth = photo(k, 3, split, 48)  # type: ignore[arg-type]
            assert image.shape == (48, 48, 3) and (label == truth.label).all()
            assert (image == jpeg_array(jpeg_bytes(truth.image))).all()
            assert (row["caption"], row["classes"]) == (truth.caption, truth.classes)
            shown = {SMALL_VOC.names[int(i)] for i in row["pixels"] if i not in ("0", "255")}
            assert shown == set(row["classes"])


def test_a_second_run_writes_nothing(photos: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in photos.rglob("*.*")}
    main([])
    assert before == {path: path.stat().st_mtime_ns for path in photos.rglob("*.*")}


def test_the_training_of_a_segmenter_reads_them(photos: Path) -> None:
    data = BranchedDataset({"labelled": Branch(PhotoShards(photos / "train"), [], SMALL_VOC)}, draws=2, seed=0)
    item = data[0]
    assert item["inputs"]["labelled"].shape == (3, 48, 48)
    assert item["data_samples"]["labelled"].gt_sem_seg.data.shape == (1, 48, 48)


def test_vocs_folders_hold_the_same_pictures_and_labels(photos: Path) -> None:
    voc.main(["exported"])
    names = [line for line in Path("exported/ImageSets/Segmentation/trainval.txt").read_text().split()]
    assert len(names) == SMALL["train"] + SMALL["val"]
    stored = Shards(photos / "train")
    for row in stored.rows:
        files = stored.read(row["uid"])
        assert Path(f"exported/JPEGImages/{row['uid']}.jpg").read_bytes() == files["image.jpg"]
        with Image.open(f"exported/SegmentationClass/{row['uid']}.png") as label:
            assert label.mode == "P" and (np.array(label) == png_array(files["label.png"])).all()
    assert Path("exported/labels.txt").read_text().split() == list(SMALL_VOC.names)


def test_an_export_overwrites_nothing(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (photos / "mine.txt").touch()
    with pytest.raises(SystemExit):
        voc.main([str(photos)])
    assert "is there already" in capsys.readouterr().err


def test_a_side_that_shows_nothing_is_one_sentence(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("params.yaml").write_text("photos: {train: 1, val: 1, test: 1, side: 8, seed: 0}\n")
    with pytest.raises(SystemExit):
        main([])
    assert "photos.side" in capsys.readouterr().err
