"""Whole trainings, a second or two each, on a tiny world: determinism, what changes the weights, no target labels."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from stages.parts.datasets.labels import LABELS
from stages.parts.pasting.paste import read_bank
from stages.parts.sections import read
from stages.parts.segmenter.files import load_segmenter
from stages.parts.store.samples import Shards, png_array
from stages.preflight import Params
from stages.train import materialise, setup
from stages.train.__main__ import main
from tests.train.conftest import edit_params, encoder_of_a_unet, outputs, write_scenes

pytestmark = pytest.mark.usefixtures("root")
REPO = Path(__file__).parents[2]


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
    assert not list(root.glob("data/.work/**/*"))
    assert {path.name for path in root.iterdir()} == {"data", "models", "params.yaml"}


def test_seed_and_bank_each_change_the_weights():
    main(["grafted", "0"])
    main(["grafted", "1"])
    main(["baseline", "0"])
    assert len({outputs("grafted")[0], outputs("grafted", 1)[0], outputs("baseline")[0]}) == 3


def test_the_saved_student_loads_and_is_no_copy_of_the_start():
    main(["baseline", "0"])
    model, names = load_segmenter("models/segmenters/baseline-0.safetensors")
    assert len(names) == 19
    assert not model.training
    assert not any(key.startswith(("student", "teacher")) for key in model.state_dict())


def test_the_encoder_starts_from_the_weights_that_params_name(root: Path):
    weights = encoder_of_a_unet(root / "encoder")
    edit_params(root, lambda params: params["train"].update(encoder="encoder", lr=1e-12))
    main(["baseline", "0"])
    trained = load_file("models/segmenters/baseline-0.safetensors")
    assert all(torch.allclose(trained[f"backbone.encoder.{name}"], value) for name, value in weights.items())


def test_segformer_trains_too(root: Path):
    edit_params(root, lambda params: params["train"].update(model="segformer-b0", iterations=2))
    main(["grafted", "0"])
    first = outputs()
    main(["grafted", "0"])
    assert outputs() == first


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
    paste = setup.pasting(read(Params).train.paste, read_bank(Shards("data/cutouts/grafted"), LABELS))
    source = Shards("data/scenes/source")
    files = source.read(source.rows[3]["uid"])
    arrays = {"img": png_array(files["image.png"]), "gt_seg_map": png_array(files["label.png"])}
    pasted = paste.transform({"seed": 0, "draw": 9, **arrays})
    name = f"{source.rows[3]['uid']}-001"
    assert (png_array(Path(f"augmented/images/{name}.png").read_bytes()) == pasted["img"]).all()
    with pytest.raises(SystemExit):
        materialise.main(["grafted", "0", "augmented"])
    materialise.main(["grafted", "1", "other"])
    images = [sorted(Path(folder, "images").glob("*-000.png")) for folder in ("augmented", "other")]
    assert [path.read_bytes() for path in images[0]] != [path.read_bytes() for path in images[1]]  # the seed's pastes


def test_target_labels_cannot_reach_the_loss(root: Path):
    """Target shards hold no label; and one that lies there all the same changes no bit."""
    assert all(set(files) == {"image.png"} for _, files in Shards("data/scenes/target"))
    main(["baseline", "0"])
    without = outputs("baseline")
    write_scenes(root, "target", 5, labelled=True)
    main(["baseline", "0"])
    assert outputs("baseline")[0] == without[0]
