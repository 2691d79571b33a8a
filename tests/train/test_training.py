"""Whole trainings, a second or two each, on a tiny world: determinism, resuming, no target labels, errors."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import edit_params, write_scenes
from safetensors.torch import load_file, save_file

from stages import params, segmenter
from stages.samples import Shards, png_array
from stages.train import materialise, setup
from stages.train.__main__ import main
from stages.train.dataset import SourceTarget
from stages.train.transforms import Flip

REPO = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def root(world: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(world)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield world
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(False)
    torch.utils.deterministic.fill_uninitialized_memory = True  # type: ignore[attr-defined]


def outputs(recipe: str = "grafted", seed: int = 0) -> tuple[bytes, bytes]:
    weights, curve = (f"models/segmenters/{recipe}-{seed}.safetensors", f"metrics/train/{recipe}-{seed}.csv")
    return Path(weights).read_bytes(), Path(curve).read_bytes()


def fails(capsys: pytest.CaptureFixture, *argv: str) -> str:
    with pytest.raises(SystemExit) as stop:
        main(argv)
    assert stop.value.code == 2
    message = capsys.readouterr().err.strip().splitlines()[-1]
    assert message.startswith("error: ")
    return message


def test_two_trainings_give_the_same_bytes_and_leave_nothing_else(root: Path):
    main(["grafted", "0"])
    first = outputs()
    main(["grafted", "0"])
    assert outputs() == first
    rows = list(csv.DictReader(first[1].decode().splitlines()))
    assert [row["iter"] for row in rows] == ["0", "1", "2", "3"]
    assert {"loss", "source.loss", "mix.loss", "mix.quality"} <= rows[0].keys()
    assert float(rows[0]["loss"]) == pytest.approx(float(rows[0]["source.loss"]) + float(rows[0]["mix.loss"]), rel=1e-4)
    assert not torch.utils.deterministic.fill_uninitialized_memory  # type: ignore[attr-defined]
    assert not list(root.glob("data/.work/*"))
    assert {path.name for path in root.iterdir()} == {"data", "metrics", "models", "params.yaml"}


def test_seed_and_bank_each_change_the_weights():
    main(["grafted", "0"])
    main(["grafted", "1"])
    main(["baseline", "0"])
    assert len({outputs("grafted")[0], outputs("grafted", 1)[0], outputs("baseline")[0]}) == 3


def test_the_saved_student_loads_and_is_no_copy_of_the_start():
    main(["baseline", "0"])
    model, names = segmenter.load("models/segmenters/baseline-0.safetensors")
    assert len(names) == 19
    assert not model.training
    assert not any(key.startswith(("student", "teacher")) for key in model.state_dict())


def encoder_of_a_unet(folder: Path) -> dict[str, torch.Tensor]:
    torch.manual_seed(7)
    weights = {
        name: torch.rand_like(value)
        for name, value in segmenter.build("unet", 19).backbone.encoder.state_dict().items()
    }
    folder.mkdir()
    save_file(weights, folder / "model.safetensors")
    return weights


def test_the_encoder_starts_from_the_weights_that_params_name(root: Path):
    weights = encoder_of_a_unet(root / "encoder")
    edit_params(root, lambda params: params["train"].update(encoder="encoder", lr=1e-12))
    main(["baseline", "0"])
    trained = load_file("models/segmenters/baseline-0.safetensors")
    assert all(torch.allclose(trained[f"backbone.encoder.{name}"], value) for name, value in weights.items())


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        ("missing", "train.encoder: there is no encoder/model.safetensors"),
        ("cut short", "encoder/model.safetensors is damaged"),
        ("of another network", "is not the encoder of train.model; set train.encoder to null"),
    ],
)
def test_a_bad_encoder_is_one_sentence(root: Path, capsys: pytest.CaptureFixture, damage: str, says: str):
    encoder_of_a_unet(root / "encoder")
    path = root / "encoder/model.safetensors"
    if damage == "missing":
        path.unlink()
    elif damage == "cut short":
        path.write_bytes(path.read_bytes()[:1000])
    else:
        edit_params(root, lambda params: params["train"].update(model="segformer-b0"))
    edit_params(root, lambda params: params["train"].update(encoder="encoder"))
    assert says in fails(capsys, "baseline", "0")


def test_segformer_trains_too(root: Path):
    edit_params(root, lambda params: params["train"].update(model="segformer-b0", iterations=2))
    main(["grafted", "0"])
    first = outputs()
    main(["grafted", "0"])
    assert outputs() == first


KILLED = """
import os, signal
import stages.train.__main__ as train

class Killer(train.Checkpoint):
    def after_train_iter(self, runner, *arguments, **named):
        super().after_train_iter(runner, *arguments, **named)
        if runner.iter == int(os.environ.get("KILLED_AT", 7)):
            os.kill(os.getpid(), signal.SIGKILL)

train.Checkpoint, train.CHECKPOINT_INTERVAL = Killer, 5
train.main(["grafted", "0"])
"""


def killed(iteration: int = 7) -> None:
    """A training in a process of its own that is killed in an iteration after a checkpoint of the fifth or tenth."""
    environment = os.environ | {"PYTHONPATH": str(REPO), "OMP_NUM_THREADS": "1", "KILLED_AT": str(iteration)}
    run = subprocess.run([sys.executable, "-c", KILLED], env=environment, capture_output=True, text=True)
    assert run.returncode == -signal.SIGKILL, run.stderr
    assert len(list(Path("data/.work").glob("*/*/checkpoint.pth"))) == 1
    assert not Path("models").exists()


@pytest.mark.parametrize("name", ["unet", "segformer-b0"])  # segformer drops out: its random state must come back too
def test_a_killed_run_goes_on_to_the_same_bytes(root: Path, name: str, capsys: pytest.CaptureFixture):
    edit_params(root, lambda params: params["train"].update(model=name, iterations=12, warmup=3))
    killed()
    main(["grafted", "0"])
    resumed = outputs()
    progress = capsys.readouterr().err
    assert " 5/12" in progress
    assert " 0/12" not in progress  # it did not begin anew
    main(["grafted", "0"])
    assert outputs() == resumed


@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "iteration"),
    [("source_only", 6), ("daformer", 10), ("hrda", 8), ("mic", 5), ("mic_hrda", 9), ("supervised", 7)],
)
def test_a_killed_run_of_any_method_goes_on_to_the_same_bytes(
    root: Path, method: str, iteration: int, capsys: pytest.CaptureFixture
):
    if method == "supervised":
        write_scenes(root, "target", 5, labelled=True)
    change = {"method": method, "iterations": 12, "warmup": 3, "encoder": str(REPO / "models/miniature/encoder")}
    edit_params(root, lambda params: params["train"].update(change))
    killed(iteration)
    main(["grafted", "0"])
    resumed = outputs()
    assert " 0/12" not in capsys.readouterr().err  # it did not begin anew
    main(["grafted", "0"])
    assert outputs() == resumed


def test_the_oracle_needs_labels_of_the_target(root: Path, capsys: pytest.CaptureFixture):
    edit_params(root, lambda params: params["train"].update(method="supervised"))
    assert "has no label.png" in fails(capsys, "grafted", "0")
    edit_params(root, lambda params: params["train"].update(method="daformer"))
    assert "train.encoder, which is null" in fails(capsys, "grafted", "0")
    edit_params(root, lambda params: params["train"].update(method="hrda", detail={"size": [64, 64], "weight": 0.1}))
    assert "larger than the images of 32 x 64" in fails(capsys, "grafted", "0")


def test_images_of_other_sizes_train_when_they_are_cropped(root: Path):
    edit_params(root, lambda params: params["train"].update(source_size=[48, 72], crop=[32, 32], iterations=2))
    main(["grafted", "0"])
    first = outputs()
    main(["grafted", "0", "--workers", "1"])
    assert outputs() == first  # whoever loads them


def test_materialised_sets_hold_what_training_would_paste_and_the_published_tables(root: Path):
    materialise.main(["grafted", "0", "augmented", "--passes", "2"])
    labels = sorted(Path("augmented/labels").glob("*_labelTrainIds.png"))
    assert len(labels) == len(list(Path("augmented/images").glob("*.png"))) == 12
    stats = json.loads(Path("augmented/sample_class_stats.json").read_text())
    having = json.loads(Path("augmented/samples_with_class.json").read_text())
    assert {"14", "15"} & set(having)
    for entry in stats:
        label = png_array(Path("augmented", entry.pop("file")).read_bytes())
        assert {int(c): n for c, n in entry.items()} == {int(c): int((label == c).sum()) for c in np.unique(label)}
    assert all(entry[1] > 0 for entries in having.values() for entry in entries)
    assert sum(len(entries) for entries in having.values()) == sum(len(entry) for entry in stats)
    paste = setup.pasting(params.read().train.paste, setup.cutouts(Shards("data/cutouts/grafted")))
    source = Shards("data/scenes/source")
    files = source.read(source.rows[3]["uid"])
    arrays = {"img": png_array(files["image.png"]), "gt_seg_map": png_array(files["label.png"])}
    pasted = paste.transform({"seed": 0, "draw": 9, **arrays})
    name = f"{source.rows[3]['uid']}-001"
    assert (png_array(Path(f"augmented/images/{name}.png").read_bytes()) == pasted["img"]).all()
    with pytest.raises(SystemExit):
        materialise.main(["grafted", "0", "augmented"])


def test_a_run_with_other_params_does_not_go_on_from_the_killed_one(root: Path):
    edit_params(root, lambda params: params["train"].update(iterations=12))
    killed()
    edit_params(root, lambda params: params["train"].update(iterations=8))
    main(["grafted", "0"])
    after_kill = outputs()
    main(["grafted", "0"])
    assert outputs() == after_kill
    assert len(after_kill[1].splitlines()) == 1 + 8


def test_target_labels_cannot_reach_the_loss(root: Path):
    """Target shards hold no label; and one that lies there all the same changes no bit."""
    assert all(set(files) == {"image.png"} for _, files in Shards("data/scenes/target"))
    main(["baseline", "0"])
    without = outputs("baseline")
    write_scenes(root, "target", 5, labelled=True)
    pair = dataset()[0]["data_samples"]
    assert "gt_sem_seg" in pair["source"]
    assert "gt_sem_seg" not in pair["target"]
    main(["baseline", "0"])
    assert outputs("baseline")[0] == without[0]


def dataset(seed: int = 0, flip: float = 0.5) -> SourceTarget:
    sides = Shards("data/scenes/source"), Shards("data/scenes/target")
    return SourceTarget(*sides, draws=60, seed=seed, source_pipeline=[Flip(flip)], target_pipeline=[Flip(flip)])


def test_every_pass_shows_every_image_once_in_a_new_order():
    uids = [dataset()[draw]["data_samples"]["source"].uid for draw in range(18)]
    passes = [uids[0:6], uids[6:12], uids[12:18]]
    assert all(len(set(one)) == 6 for one in passes)
    assert len({tuple(one) for one in passes}) > 1
    assert uids != [dataset(seed=1)[draw]["data_samples"]["source"].uid for draw in range(18)]


def test_a_draw_is_the_same_in_whatever_order_it_is_asked_for():
    first, again = [dataset()[draw] for draw in (4, 9)], [dataset()[draw] for draw in (9, 4)]
    for one, other in zip(first, reversed(again), strict=True):
        for side in ("source", "target"):
            assert torch.equal(one["inputs"][side], other["inputs"][side])


def test_flipping_keeps_image_and_label_together():
    for draw in range(4):
        plain, mirrored = dataset(flip=0)[draw], dataset(flip=1)[draw]
        assert torch.equal(plain["inputs"]["source"].flip(2), mirrored["inputs"]["source"])
        labels = [pair["data_samples"]["source"].gt_sem_seg.data for pair in (plain, mirrored)]
        assert torch.equal(labels[0].flip(2), labels[1])


def test_errors_are_sentences(root: Path, capsys: pytest.CaptureFixture):
    assert "data/cutouts/nope/index.jsonl" in fails(capsys, "nope", "0")
    assert "seed" in fails(capsys, "grafted", "-1")
    write_scenes(root, "target", 0, labelled=False)
    assert "data/scenes/target holds no image" in fails(capsys, "grafted", "0")


def test_a_loss_that_explodes_is_a_sentence(root: Path, capsys: pytest.CaptureFixture):
    edit_params(root, lambda params: params["train"].update(lr=1e30, warmup=0, iterations=6))
    assert "train.lr" in fails(capsys, "grafted", "0")
    assert not Path("models").exists()


def test_segmenter_files(tmp_path: Path):
    torch.manual_seed(0)
    names = [f"class {k}" for k in range(5)]
    model = segmenter.build("unet", 5)
    segmenter.save(model, tmp_path / "a.safetensors", "unet", names)
    segmenter.save(model, tmp_path / "b.safetensors", "unet", names)
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()
    loaded, classes = segmenter.load(tmp_path / "a.safetensors")
    assert classes == tuple(names)
    for key, value in load_file(tmp_path / "a.safetensors").items():
        assert torch.equal(value, model.state_dict()[key])
        assert torch.equal(value, loaded.state_dict()[key])


@pytest.mark.parametrize("damage", ["missing", "cut", "empty", "foreign", "other classes"])
def test_a_bad_segmenter_file_is_a_sentence(tmp_path: Path, damage: str):
    path = tmp_path / "a.safetensors"
    names = [f"class {k}" for k in range(5)]
    segmenter.save(segmenter.build("unet", 5), path, "unet", names[:4] if damage == "other classes" else names)
    content = path.read_bytes()
    if damage == "missing":
        path.unlink()
    elif damage != "other classes":
        path.write_bytes({"cut": content[:-100], "empty": b"", "foreign": b"no tensors" * 100}[damage])
    with pytest.raises(segmenter.GraftError, match=r"a\.safetensors.*stages\.train"):
        segmenter.load(path)
