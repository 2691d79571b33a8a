"""Every value of the section `train` reaches the object that it is meant for: here each has a value of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from mmengine.runner import Runner

import stages.train.__main__ as train_main
from stages.parts.datasets.labels import LABELS
from stages.parts.errors import GraftError
from stages.parts.learning import fit, hooks
from stages.parts.learning.transforms import Crop, Flip, ResizeTo
from stages.parts.pasting.composite import Edge
from stages.parts.pasting.paste import read_bank
from stages.parts.pasting.place import Scale
from stages.parts.sections import read
from stages.parts.store.samples import Shards
from stages.preflight import Params
from stages.train import setup
from stages.train.methods import METHODS
from stages.train.params import Train
from tests.train.conftest import edit_params

ENCODER = str(Path(__file__).parents[2] / "models/miniature/encoder")
DISTINCT: dict[str, Any] = {
    "method": "mic_hrda", "encoder": ENCODER, "encoder_lr": 0.31, "source_size": [64, 136], "target_size": [72, 144],
    "crop": [64, 128], "max_class_share": 0.91, "iterations": 7, "batch": 2, "lr": 1.3e-3, "weight_decay": 0.021,
    "no_decay": "layer_norm", "warmup": 3, "ema": 0.87, "ema_at": "end", "teacher_norm": "running",
    "pseudo_threshold": 0.61, "quality_per": "image", "classes_of": "image", "margin": [1, 2, 3, 4],
    "margin_of": "image", "jitter_probability": 0.71, "jitter": 0.23, "blur_probability": 0.43,
    "rare_classes": {"temperature": 0.02, "min_pixels": 11, "min_crop_ratio": 0.7, "tries": 6, "novel_budget": 0.37},
    "feature_distance": {"weight": 0.004, "min_ratio": 0.81, "classes": ["person", "bus"]},
    "detail": {"size": [32, 64], "weight": 0.13},
    "masking": {"weight": 0.9, "ratio": 0.66, "block": 9},
    "paste": {
        "probability": 0.55, "per": "image", "max_instances": 5, "scale": "height", "min_height": 0.12,
        "max_height": 0.34, "min_area": 0.03, "max_area": 0.21, "place": "anywhere", "flip": 0.27, "colour": 0.41,
        "edge": "feather", "feather": 1.7, "ring": 2, "protected": ["pole"], "min_visible": 0.19,
    },
}  # fmt: skip


@pytest.fixture
def train(root: Path) -> Train:
    edit_params(root, lambda content: content["train"].update(DISTINCT))
    return read(Params).train


def test_the_pasting(train: Train):
    bank = read_bank(Shards("data/cutouts/grafted"), LABELS)
    made = vars(setup.pasting(train.paste, bank))
    assert made == {
        "bank": {14: bank[14], 15: bank[15]}, "probability": 0.55, "per": "image", "max_instances": 5,
        "scale": Scale("height", 0.12, 0.34), "place": "anywhere", "flip": 0.27, "colour": 0.41,
        "edge": Edge("feather", 1.7, 2), "protected": [5], "min_visible": 0.19, "seed": 0, "channels": "rgb",
        "is_ground": made["is_ground"],
    }  # fmt: skip
    by_area = setup.pasting(train.paste.model_copy(update={"scale": "area"}), bank)
    assert by_area.scale == Scale("area", 0.03, 0.21)


def test_the_pairs(train: Train):
    sides = Shards("data/scenes/source"), Shards("data/scenes/target")
    pairs = setup.dataset(train, 5, *sides, read_bank(Shards("data/cutouts/grafted"), LABELS))
    source = pairs.branches["source"]
    assert (pairs.seed, len(pairs), source.rare_pixels) == (5, 7 * 2, pytest.approx(11 * 0.7))
    for branch, given, size in zip(pairs.branches.values(), sides, ((64, 136), (72, 144)), strict=True):
        assert branch.shards is given
        resize, crop, flip = branch.pipeline[-3:]
        assert isinstance(resize, ResizeTo) and resize.size == size[::-1]
        assert isinstance(crop, Crop)
        assert (crop.size, crop.max_class_share, crop.tries) == ((64, 128), 0.91, 6)
        assert isinstance(flip, Flip) and flip.probability == 0.5
    rare = source.rare
    assert rare is not None
    shares = dict(zip(rare.classes, rare.probabilities, strict=True))
    assert shares[14] == shares[15] == pytest.approx(0.37 / 2)
    cooler = (
        setup.dataset(_with(train, temperature=0.2), 5, *sides, read_bank(Shards("data/cutouts/grafted"), LABELS))
        .branches["source"]
        .rare
    )
    assert cooler is not None and cooler.probabilities != rare.probabilities
    many = _with(train, min_pixels=10_000)
    with pytest.raises(GraftError, match="more than 10000 pixels"):
        setup.dataset(many, 5, *sides, read_bank(Shards("data/cutouts/grafted"), LABELS))


def _with(train: Train, **changes: Any) -> Train:
    return train.model_copy(update={"rare_classes": train.rare_classes.model_copy(update=changes)})


def test_the_optimiser_its_schedule_and_the_teacher(train: Train, monkeypatch: pytest.MonkeyPatch):
    runners: list[Runner] = []

    class Look(hooks.Checkpoint):
        def after_train(self, runner: Runner) -> None:
            runners.append(runner)

    monkeypatch.setattr(fit, "Checkpoint", Look)
    train_main.main(["grafted", "0"])
    (runner,) = runners
    groups = runner.optim_wrapper.optimizer.param_groups
    assert [group["initial_lr"] for group in groups] == pytest.approx([1.3e-3, 1.3e-3 * 0.31])
    assert {group["weight_decay"] for group in groups} == {0.021}  # no_decay: layer_norm, and the U-Net has none
    assert {type(each).__name__: each.end - 1 for each in runner.param_schedulers} == {"LinearLR": 3, "PolyLR": 7}
    (teacher,) = [hook for hook in runner.hooks if isinstance(hook, hooks.MeanTeacher)]
    assert (teacher.ema, teacher.at) == (0.87, "end")
    assert runner.max_iters == 7 and runner.train_dataloader.batch_size == 2
    assert runner.model.student.detail == (32, 64)
    assert runner.model.method == METHODS["mic_hrda"]
    assert runner.model.settings == train
