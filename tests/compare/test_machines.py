"""What differs from the locked outputs is told output by output, and by how much."""

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from stages.compare.machines import difference
from stages.parts.store.samples import Sample, build, npy_bytes, png_bytes


def write(folder: Path, images: dict[str, int], value: float = 1.0) -> Path:
    """A folder of samples: each image is grey of one level, each map constant but for its first cell."""
    heat = np.ones((2, 2), np.float32)
    heat[0, 0] = value

    def make(uids: list[str]):
        for uid in uids:
            image = np.full((2, 2, 3), images[uid], np.uint8)
            yield Sample(uid, "key", {}, {"image.png": png_bytes(image), "attribution.npy": npy_bytes(heat)})

    build(folder, dict.fromkeys(images, "key"), make, title="test")
    return folder


def test_samples_are_counted_and_measured(tmp_path: Path) -> None:
    there = write(tmp_path / "there", {"bus-0": 10, "bus-1": 20, "bus-2": 30})
    here = write(tmp_path / "here", {"bus-0": 10, "bus-1": 23, "bus-2": 30})
    assert difference(there, here) == "1 of 3 samples: image.png by up to 3 levels"
    moved = write(tmp_path / "moved", {"bus-0": 10, "bus-1": 20, "bus-2": 30}, value=0.5)
    assert difference(there, moved) == "3 of 3 samples: attribution.npy by up to 5e-01 of the largest value"


def test_equal_samples_and_missing_ones_are_told_apart(tmp_path: Path) -> None:
    there = write(tmp_path / "there", {"bus-0": 10, "bus-1": 20})
    fewer = write(tmp_path / "fewer", {"bus-0": 10})
    assert difference(there, fewer).startswith("1 samples are in one alone; equal samples")


def test_weights_tables_and_metrics_are_compared_as_numbers(tmp_path: Path) -> None:
    save_file({"w": np.array([1.0, -4.0], np.float32)}, tmp_path / "a.safetensors")
    save_file({"w": np.array([1.5, -4.0], np.float32)}, tmp_path / "b.safetensors")
    assert difference(tmp_path / "a.safetensors", tmp_path / "b.safetensors") == "by up to 0.5 (largest value 4; w)"
    (tmp_path / "a.csv").write_text("uid,score\nx,0.25\ny,1.0\n")
    (tmp_path / "b.csv").write_text("uid,score\nx,0.5\ny,1.0\n")
    assert difference(tmp_path / "a.csv", tmp_path / "b.csv") == "by up to 0.25 (largest value 1; score)"
    (tmp_path / "a.json").write_text(json.dumps({"grafted": {"novel_mIoU": 60.0}}))
    (tmp_path / "b.json").write_text(json.dumps({"grafted": {"novel_mIoU": 62.0}}))
    assert difference(tmp_path / "a.json", tmp_path / "b.json") == "by up to 2 (largest value 60; grafted.novel_mIoU)"
    (tmp_path / "c.json").write_text(json.dumps({"grafted": {"mIoU": 60.0}}))
    assert difference(tmp_path / "a.json", tmp_path / "c.json") == "other names or shapes"


def test_nested_shards_are_told_sample_by_sample(tmp_path: Path) -> None:
    """As of data/evaluated/R-S/{val,test}, with scores.json beside them."""
    for name, level in (("there", 20), ("here", 23)):
        write(tmp_path / name / "val", {"bus-0": 10})
        write(tmp_path / name / "test", {"bus-0": 10, "bus-1": level})
        (tmp_path / name / "scores.json").write_text(json.dumps({"mIoU": level}))
    there, here = tmp_path / "there", tmp_path / "here"
    told = difference(there, here)
    assert "val:" not in told
    assert "test: 1 of 2 samples: image.png by up to 3 levels" in told
    assert "scores.json: by up to 3 (largest value 20; mIoU)" in told
    (here / "scores.json").unlink()
    assert "scores.json: in one alone" in difference(there, here)
    (there / "val" / "index.jsonl").unlink()
    assert "val: in one alone" in difference(there, here)
    assert difference(here, here) == "equal"


def test_a_folder_of_before_there_were_rows_beside_the_shards_is_equal(tmp_path: Path) -> None:
    there, here = write(tmp_path / "there", {"bus-0": 10}), write(tmp_path / "here", {"bus-0": 10})
    next(there.glob("0*.jsonl")).unlink()
    assert difference(there, here) == "equal"


@pytest.mark.parametrize("name", ["x.csv", "x.json", "x.png"])
def test_equal_bytes_are_equal(tmp_path: Path, name: str) -> None:
    for folder in ("there", "here"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / name).write_text("{}")
    assert difference(tmp_path / "there" / name, tmp_path / "here" / name) == "equal"
