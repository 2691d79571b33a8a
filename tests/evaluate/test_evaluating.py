"""The stage as a whole, with an untrained network on a handful of flat images."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from ruamel.yaml import YAML

from stages.evaluate.__main__ import main
from stages.evaluate.evaluation import _view
from stages.evaluate.params import Evaluate
from stages.parts.datasets.labels import CITYSCAPES
from stages.parts.segmenter.files import load_segmenter, save_segmenter
from stages.parts.segmenter.networks import build_segmenter
from stages.parts.segmenter.predict import View, predict
from stages.parts.store.samples import Sample, Shards, build, key, png_array, png_bytes

SIZES = [(32, 64), (32, 64), (32, 64), (40, 48), (40, 48)]  # 40 and 48 are padded on the way


def write_split(split: str, change: dict[str, int] | None = None) -> None:
    """Five images; `change` writes one id into the corner of a sample's label."""
    samples = {}
    for number, (height, width) in enumerate(SIZES):
        rng = np.random.default_rng(number)
        image = rng.integers(0, 255, (height, width, 3), dtype=np.uint8)
        label = rng.choice(np.array([0, 2, 13, 14, 255], np.uint8), (height, width))
        uid = f"{split}-{number:06d}"
        if change and uid in change:
            label[0, 0] = change[uid]
        files = {"image.png": png_bytes(image), "label.png": png_bytes(label)}
        row = {"height": height, "width": width}
        samples[uid] = Sample(uid, key(uid=uid, change=change), row, files)
    wanted = {uid: sample.key for uid, sample in samples.items()}
    build(f"data/scenes/{split}", wanted, lambda uids: (samples[uid] for uid in uids), title=split)


def write_segmenter(seed: int = 0) -> None:
    torch.manual_seed(seed)
    path = "models/segmenters/baseline-0.safetensors"
    save_segmenter(build_segmenter("unet", 19), path, "unet", CITYSCAPES.names)


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copy(Path(__file__).parents[2] / "params.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    write_split("val")
    write_split("test")
    write_segmenter()
    return tmp_path


def result(split: str = "val") -> dict:
    """What was measured on a split, with what is known of the segmenter."""
    told = json.loads(Path("data/evaluated/baseline-0/scores.json").read_text())
    return {name: value for name, value in told.items() if name not in ("val", "test")} | told[split]


def everything() -> dict[str, bytes]:
    files = [path for path in Path("data/evaluated").rglob("*.*") if path.is_file()]
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
    predicted = Shards("data/evaluated/baseline-0/val")
    shapes = [png_array(files["prediction.png"]).shape for _, files in predicted]
    assert shapes == SIZES


def test_a_second_run_predicts_nothing_and_changes_nothing(capsys: pytest.CaptureFixture):
    main(["baseline", "0"])
    first = everything()
    main(["baseline", "0"])
    assert everything() == first
    assert capsys.readouterr().out.count("kept 5, made 0") == 2


def test_a_part_that_was_lost_is_made_again_to_the_same_bytes(capsys: pytest.CaptureFixture):
    main(["baseline", "0"])
    first = everything()
    (shard,) = Path("data/evaluated/baseline-0/val").glob("*.tar")
    content = bytearray(shard.read_bytes())
    content[600] ^= 1  # in the first sample's picture
    shard.write_bytes(content)
    main(["baseline", "0"])
    assert everything() == first
    assert "kept 4, made 1" in capsys.readouterr().out


def test_a_line_that_the_index_lost_costs_no_sample(capsys: pytest.CaptureFixture):
    main(["baseline", "0"])
    first = everything()
    index = Path("data/evaluated/baseline-0/val/index.jsonl")
    lines = index.read_text().splitlines(keepends=True)
    index.write_text("".join(lines[:1] + lines[2:]))
    capsys.readouterr()
    main(["baseline", "0"])
    assert everything() == first
    assert "on val: kept 5, made 0" in capsys.readouterr().out


def test_other_weights_are_other_predictions(capsys: pytest.CaptureFixture):
    main(["baseline", "0"])
    write_segmenter(seed=1)
    capsys.readouterr()
    main(["baseline", "0"])
    assert "kept 5, made 0" not in capsys.readouterr().out


def test_predicting_does_not_look_at_the_other_images_of_the_batch():
    model, _ = load_segmenter("models/segmenters/baseline-0.safetensors")
    images = list(np.random.default_rng(0).integers(0, 255, (3, 40, 48, 3), dtype=np.uint8))
    together = predict(model, images)
    assert all(one.shape == (40, 48) and one.dtype == np.uint8 for one in together)
    alone = [predict(model, [image])[0] for image in images]
    assert np.mean(np.array(together) == np.array(alone)) > 0.999  # but for rounding
    assert predict(model, []) == []


def test_errors_are_sentences(capsys: pytest.CaptureFixture):
    write_split("val", {"val-000003": 77})
    message = fails(capsys)
    assert "val-000003" in message
    assert "id 77" in message
    Path("models/segmenters/baseline-0.safetensors").unlink()
    assert "baseline-0.safetensors: no such segmenter" in fails(capsys)
    write_segmenter()
    build("data/scenes/val", {}, lambda uids: [], title="val")
    assert "data/scenes/val holds no image" in fails(capsys)


def change(root: Path, **values: object) -> None:
    yaml = YAML(typ="safe", pure=True)
    params = yaml.load((root / "params.yaml").read_text())
    params["evaluate"] |= values
    yaml.dump(params, root / "params.yaml")


def test_params_say_how_an_image_is_looked_at(root: Path):
    told = Evaluate(batch=2, size=[96, 128], window=[64, 96], stride=[32, 64], flip=True, absent="skip")
    assert _view(told) == View((96, 128), (64, 96), (32, 64), True)
    model, _ = load_segmenter("models/segmenters/baseline-0.safetensors")
    images = [png_array(files["image.png"]) for _, files in Shards("data/scenes/val")]
    change(root, size=[96, 128], window=[64, 96], stride=[32, 64], flip=True, batch=3)
    main(["baseline", "0"])
    written = [png_array(files["prediction.png"]) for _, files in Shards("data/evaluated/baseline-0/val")]
    expected = predict(model, images[:3], _view(told)) + predict(model, images[3:], _view(told))
    assert all((one == other).all() for one, other in zip(written, expected, strict=True))
    assert any((one != predict(model, [image])[0]).any() for one, image in zip(written, images, strict=True))


def test_a_class_that_the_truth_lacks_counts_as_params_say(root: Path):
    main(["baseline", "0"])
    told = result()
    strays = [name for k, name in enumerate(CITYSCAPES.names) if np.array(told["confusion"])[:, k].any()]
    lacking = [name for name in strays if told["IoU"][name] is None]
    assert lacking  # an untrained network predicts them
    change(root, absent="mmseg")
    main(["baseline", "0"])
    assert {result()["IoU"][name] for name in lacking} == {result()["boundary_IoU"][name] for name in lacking} == {0}


def test_hrda_is_not_shown_less_than_its_detail(root: Path, capsys: pytest.CaptureFixture):
    network = build_segmenter("unet", 19, detail=(64, 96))
    save_segmenter(network, "models/segmenters/baseline-0.safetensors", "unet", CITYSCAPES.names)
    said = fails(capsys)
    assert "at 64 x 64 pixels, less than this segmenter's detail of 64 x 96; raise evaluate.size" in said
    change(root, size=[64, 128], window=[64, 64], stride=[64, 64])
    assert "at 64 x 64 pixels" in fails(capsys)
    change(root, size=[64, 128], window=None, stride=None)
    main(["baseline", "0"])
    assert result()["mIoU"] is not None


@pytest.mark.parametrize("module", ["evaluate.evaluation", "train.training", "compare.__main__"])
def test_importing_what_a_stage_computes_with_prints_no_warning(module: str):
    command = [sys.executable, "-c", f"import stages.{module}"]
    done = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=True)
    assert done.stdout == done.stderr == ""


def test_the_numbers_of_windows_and_of_boundaries_are_told(root: Path):
    change(root, window=[32, 32], stride=[32, 32], flip=True)
    main(["baseline", "0"])
    told = result()
    assert {"boundary_IoU", "mboundary_IoU", "vehicles", "mIoU_16", "mIoU_13"} <= told.keys()
    assert set(told["vehicles"]) == {"car", "truck"}


def test_val_and_test_are_measured_each_on_its_own():
    write_split("test", {"test-000000": 15})
    main(["baseline", "0"])
    assert result("val")["IoU"]["bus"] is None and result("test")["IoU"]["bus"] is not None
    assert Shards("data/evaluated/baseline-0/test").rows[0]["uid"] == "test-000000"
