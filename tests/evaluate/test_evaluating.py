"""The stage as a whole, with an untrained network on a handful of flat images."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from ruamel.yaml import YAML

from stages import segmenter
from stages.evaluate.__main__ import main
from stages.evaluate.predict import View, predict, slide, windows
from stages.labels import CITYSCAPES
from stages.samples import Sample, Shards, build, key, png_array, png_bytes

SIZES = [(32, 64), (32, 64), (32, 64), (40, 48), (40, 48)]  # 40 and 48 are padded on the way


def write_val(change: dict[str, int] | None = None) -> None:
    """Five images; `change` writes one id into the corner of a sample's label."""
    samples = {}
    for number, (height, width) in enumerate(SIZES):
        rng = np.random.default_rng(number)
        image = rng.integers(0, 255, (height, width, 3), dtype=np.uint8)
        label = rng.choice(np.array([0, 2, 13, 14, 255], np.uint8), (height, width))
        uid = f"val-{number:06d}"
        if change and uid in change:
            label[0, 0] = change[uid]
        files = {"image.png": png_bytes(image), "label.png": png_bytes(label)}
        row = {"height": height, "width": width}
        samples[uid] = Sample(uid, key(uid=uid, change=change), row, files)
    wanted = {uid: sample.key for uid, sample in samples.items()}
    build("data/scenes/val", wanted, lambda uids: (samples[uid] for uid in uids), title="val")


def write_segmenter(seed: int = 0) -> None:
    torch.manual_seed(seed)
    path = "models/segmenters/baseline-0.safetensors"
    segmenter.save(segmenter.build("unet", 19), path, "unet", CITYSCAPES.names)


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copy(Path(__file__).parents[2] / "params.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    write_val()
    write_segmenter()
    return tmp_path


def result() -> dict:
    return json.loads(Path("metrics/evaluate/baseline-0.json").read_text())


def everything() -> dict[str, bytes]:
    files = [*Path("metrics").rglob("*.json"), *Path("data/evaluated").rglob("*.*")]
    return {str(file): file.read_bytes() for file in files}


def fails(capsys: pytest.CaptureFixture) -> str:
    with pytest.raises(SystemExit) as stop:
        main(["baseline", "0"])
    assert stop.value.code == 2
    return capsys.readouterr().err.strip().splitlines()[-1]


def test_what_is_written_is_complete_and_true():
    main(["baseline", "0"])
    told = result()
    assert (told["recipe"], told["seed"], told["novel"]) == ("baseline", 0, ["truck", "bus", "train"])
    assert told["classes"] == list(CITYSCAPES.names)
    matrix = np.array(told["confusion"])
    truth = np.concatenate([png_array(files["label.png"]).ravel() for _, files in Shards("data/scenes/val")])
    assert matrix.sum(axis=1).tolist() == [(truth == k).sum() for k in range(19)]
    assert [name for name, iou in told["IoU"].items() if iou is not None] == [
        "road",
        "building",
        "car",
        "truck",
    ]
    assert told["novel_mIoU"] == told["IoU"]["truck"]
    predicted = Shards("data/evaluated/baseline-0")
    shapes = [png_array(files["prediction.png"]).shape for _, files in predicted]
    assert shapes == SIZES


def test_a_second_run_predicts_nothing_and_changes_nothing(capsys: pytest.CaptureFixture):
    main(["baseline", "0"])
    first = everything()
    main(["baseline", "0"])
    assert everything() == first
    assert "kept 5, made 0" in capsys.readouterr().out


def test_a_part_that_was_lost_is_made_again_to_the_same_bytes(capsys: pytest.CaptureFixture):
    main(["baseline", "0"])
    first = everything()
    index = Path("data/evaluated/baseline-0/index.jsonl")
    lines = index.read_text().splitlines(keepends=True)
    index.write_text("".join(lines[:1] + lines[2:]))
    main(["baseline", "0"])
    assert everything() == first
    assert "kept 4, made 1" in capsys.readouterr().out


def test_other_weights_are_other_predictions(capsys: pytest.CaptureFixture):
    main(["baseline", "0"])
    write_segmenter(seed=1)
    main(["baseline", "0"])
    assert "kept 5, made 0" not in capsys.readouterr().out


def test_predicting_does_not_look_at_the_other_images_of_the_batch():
    model, _ = segmenter.load("models/segmenters/baseline-0.safetensors")
    images = list(np.random.default_rng(0).integers(0, 255, (3, 40, 48, 3), dtype=np.uint8))
    together = predict(model, images)
    assert all(one.shape == (40, 48) and one.dtype == np.uint8 for one in together)
    alone = [predict(model, [image])[0] for image in images]
    assert np.mean(np.array(together) == np.array(alone)) > 0.999  # but for rounding
    assert predict(model, []) == []


def test_errors_are_sentences(capsys: pytest.CaptureFixture):
    write_val({"val-000003": 77})
    message = fails(capsys)
    assert "val-000003" in message
    assert "id 77" in message
    Path("models/segmenters/baseline-0.safetensors").unlink()
    assert "baseline-0.safetensors: no such segmenter" in fails(capsys)
    write_segmenter()
    build("data/scenes/val", {}, lambda uids: [], title="val")
    assert "data/scenes/val holds no image" in fails(capsys)


class Brightness(torch.nn.Module):
    """A network of two classes: the second is as likely as a pixel is bright. Counts its passes."""

    passes = 0

    def data_preprocessor(self, data: dict, training: bool) -> dict:
        return data | {"inputs": torch.stack(data["inputs"]).float() / 255}

    def encode_decode(self, images: torch.Tensor, metas: list) -> torch.Tensor:
        self.passes += 1
        assert len(metas) == len(images)
        return torch.stack([1 - images[:, 0], images[:, 0]], dim=1)


def noise(height: int = 48, width: int = 80) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize("view", [View(), View(window=(32, 32), stride=(16, 16)), View(flip=True)])
def test_a_network_that_looks_at_single_pixels_sees_the_same_however_it_looks(view: View):
    """Windows that overlap or are moved back inside, and a mirror image turned back, cover each pixel rightly."""
    image = noise()
    assert (predict(Brightness(), [image, image], view)[1] == (image[..., 0] >= 128)).all()


def test_windows_cover_the_image_and_the_last_ones_are_moved_back_inside():
    found = [(rows.start, cols.start) for rows, cols in windows((48, 80), (32, 64), (32, 32))]
    assert found == [(0, 0), (0, 16), (16, 0), (16, 16)]
    assert list(windows((20, 20), (32, 32), (16, 16))) == [(slice(0, 32), slice(0, 32))]


def test_overlapping_windows_are_averaged():
    def number_of_pass() -> torch.Tensor:
        counter.append(0)
        return torch.full((1, 1, 2, 2), float(len(counter)))

    counter: list[int] = []
    out = slide(lambda images: number_of_pass(), torch.zeros(1, 3, 2, 4), (2, 2), (2, 1))
    assert out[0, 0].tolist() == [[1.0, 1.5, 2.5, 3.0]] * 2


def test_an_image_may_be_brought_to_another_size_and_is_told_at_its_own():
    image = np.zeros((32, 64, 3), np.uint8)
    image[:, 32:] = 255
    small = predict(Brightness(), [image], View(size=(16, 32)))[0]
    assert small.shape == (32, 64)
    assert (small[:, 34:] == 1).all() and (small[:, :30] == 0).all()


def test_the_numbers_of_windows_and_of_boundaries_are_told(root: Path):
    change = YAML(typ="safe", pure=True)
    params = change.load((root / "params.yaml").read_text())
    params["evaluate"] |= {"window": [32, 32], "stride": [32, 32], "flip": True}
    change.dump(params, root / "params.yaml")
    main(["baseline", "0"])
    told = result()
    assert {"boundary_IoU", "mboundary_IoU", "vehicles", "mIoU_16", "mIoU_13"} <= told.keys()
    assert set(told["vehicles"]) == {"car", "truck"}
