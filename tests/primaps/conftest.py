"""A world of fourteen streets, a ViT of two blocks, and params.yaml for them, in a folder of its own."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from ruamel.yaml import YAML
from transformers import BitImageProcessor, Dinov2Config, Dinov2Model

from stages.parts.store.samples import Sample, build, png_bytes
from stages.parts.world.streets import street

ROOT = Path(__file__).parents[2]
COUNTS = {"target": 6, "val": 4, "test": 4}
SETTINGS = {
    "sets": ["streets"], "seeds": [0, 1], "backbone": "vit", "shifts": 1,
    "propose": {"threshold": 0.6, "least": 2, "batch": 4, "most": 12},
    "initialise": {"batch": 3, "epochs": 2}, "evaluate": {"probe_epochs": 2},
    "fit": {  # with the published parts, which params.yaml goes without
        "epochs": 4, "batch": 3, "every": 2, "checks": 4, "decay": 0.98, "gamma": 2.0, "views": 2,
        "jitter_probability": 1.0,
    },
}  # fmt: skip


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("primaps")
    for number, (split, count) in enumerate(COUNTS.items()):
        scenes = {f"s-{k}": street(100 * number + k, 3, "target", 32, 64) for k in range(count)}

        def make(uids: list[str], scenes: dict = scenes, labelled: bool = split != "target") -> Iterator[Sample]:
            for uid in uids:
                image, label = scenes[uid]
                files = {"image.png": png_bytes(image)} | ({"label.png": png_bytes(label)} if labelled else {})
                yield Sample(uid, "k", {}, files)

        build(folder / "data/scenes" / split, dict.fromkeys(scenes, "k"), make, title=split)
    torch.manual_seed(0)
    config = Dinov2Config(hidden_size=16, num_hidden_layers=2, num_attention_heads=2, image_size=32, patch_size=4)
    Dinov2Model(config).save_pretrained(folder / "vit")
    BitImageProcessor(image_mean=[0.5] * 3, image_std=[0.25] * 3).save_pretrained(folder / "vit")
    yaml = YAML()
    content = yaml.load((ROOT / "params.yaml").read_text())
    for name, value in SETTINGS.items():
        if isinstance(value, dict):
            content["primaps"][name].update(value)
        else:
            content["primaps"][name] = value
    content["engine"]["threads"] = 1
    with open(folder / "params.yaml", "w") as file:
        yaml.dump(content, file)
    return folder


@pytest.fixture
def world(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy that a test may change, as the working folder."""
    folder = tmp_path / "world"
    shutil.copytree(made, folder)
    monkeypatch.chdir(folder)
    return folder


def change(folder: Path, dotted: str, value: object) -> None:
    """Set one value of params.yaml, such as fit.lr, in its section primaps."""
    yaml = YAML()
    content = yaml.load((folder / "params.yaml").read_text())
    *tables, key = dotted.split(".")
    section = content["primaps"]
    for table in tables:
        section = section[table]
    section[key] = value
    with open(folder / "params.yaml", "w") as file:
        yaml.dump(content, file)


def all_labels() -> np.ndarray:
    return np.stack([street(100 + k, 3, "target", 32, 64)[1] for k in range(4)])
