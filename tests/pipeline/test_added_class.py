"""A class that Cityscapes lacks: a line in parts/datasets/labels.py, and it goes the whole way, train id 19."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors import safe_open

from stages.parts.store.pictures import png_array
from stages.parts.store.samples import Shards
from tests.pipeline.conftest import Line, make_line

ROAD, TRAM = 0, 19
COMMANDS = ("scenes", "generate tram", "refine tram", "clean tram", "cutouts grafted", "train grafted 0")


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> Line:
    """A small line whose one class is tram, drawn as the small model draws trains; two labelled streets hold it."""
    made = make_line(tmp_path_factory.mktemp("added"))
    labels = made.folder / "stages/parts/datasets/labels.py"
    source = labels.read_text()
    assert "...] = ()\n" in source
    labels.write_text(source.replace("...] = ()\n", '...] = (("tram", (0, 120, 200)),)\n', 1))
    prompts = (made.folder / "data/prompts/train.yaml").read_text()
    (made.folder / "data/prompts/tram.yaml").write_text(prompts)
    streets(made.folder / "val")
    made.set({"classes": ["tram"], "scenes": {"val": {"images": "val/images", "labels": "val/labels", "ids": IDS}}})
    for command in (*COMMANDS, "evaluate grafted 0"):
        made.sh("python", "-m", *f"stages.{command}".split())
    return made


IDS = {0: "road", 7: "tram"}


def streets(folder: Path) -> None:
    """Two pictures of noise; the left half of each is tram, the id of which is 7 in these files."""
    rng = np.random.default_rng(0)
    label = np.zeros((64, 128), np.uint8)
    label[:, :64] = 7
    for name in ("images", "labels"):
        (folder / name).mkdir(parents=True)
    for k in range(2):
        Image.fromarray(rng.integers(0, 256, (64, 128, 3), dtype=np.uint8)).save(folder / f"images/{k}.png")
        Image.fromarray(label).save(folder / f"labels/{k}.png")


def test_its_labels_and_cutouts_have_the_next_train_id(line: Line) -> None:
    val = Shards(line.folder / "data/scenes/val")
    label = png_array(val.read(val.rows[0]["uid"])["label.png"])
    assert set(np.unique(label)) == {ROAD, TRAM}
    cutouts = Shards(line.folder / "data/cutouts/grafted").rows
    assert cutouts and {(row["class"], row["train_id"]) for row in cutouts} == {("tram", TRAM)}


def test_it_is_pasted_with_that_id(line: Line) -> None:
    line.sh("python", "-m", "stages.train.materialise", "grafted", "0", "pasted", "--passes", "2")
    found = [np.array(Image.open(path)) for path in (line.folder / "pasted/labels").glob("*.png")]
    assert len(found) == 16 and any((label == TRAM).any() for label in found)
    assert not any(((label > TRAM) & (label != 255)).any() for label in found)


def test_the_segmenter_has_an_output_for_it_and_it_is_measured(line: Line) -> None:
    with safe_open(line.folder / "models/segmenters/grafted-0.safetensors", "numpy") as file:
        assert len(json.loads(file.metadata()["segmenter"])["classes"]) == 20
        assert {file.get_slice(key).get_shape()[0] for key in file.keys() if "conv_seg.weight" in key} == {20}  # noqa: SIM118
    told = json.loads((line.folder / "data/evaluated/grafted-0/scores.json").read_text())["val"]
    assert told["IoU"]["tram"] is not None and told["novel_mIoU"] == told["IoU"]["tram"]
    assert told["mIoU_19"] == told["IoU"]["road"]  # the published means stay those of Cityscapes' classes
