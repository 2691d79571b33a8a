"""A tiny world on disk: streets of flat colours, written by the same code as the real ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.utils.deterministic
from ruamel.yaml import YAML
from safetensors.torch import save_file

from stages.parts.segmenter.networks import build_segmenter
from stages.parts.store.samples import Sample, build, key, png_bytes
from stages.train.__main__ import main

ROAD, BUILDING, SKY, CAR, TRUCK, BUS = 0, 2, 10, 13, 14, 15
COLOURS = {ROAD: 90, BUILDING: 140, SKY: 220, CAR: 40}
HEIGHT, WIDTH = 32, 64


def street(number: int) -> tuple[np.ndarray, np.ndarray]:
    """(image, label): sky over buildings over a road with one car on it."""
    rng = np.random.default_rng(number)
    label = np.full((HEIGHT, WIDTH), SKY, np.uint8)
    label[8:] = BUILDING
    label[18:] = ROAD
    col = int(rng.integers(WIDTH - 12))
    label[16:22, col : col + 12] = CAR
    grey = np.vectorize(COLOURS.get)(label)[..., None] + rng.integers(-20, 20, (HEIGHT, WIDTH, 3))
    return grey.astype(np.uint8), label


def write(folder: Path, files: dict[str, dict[str, bytes]], rows: dict[str, dict]) -> None:
    keys = {uid: key(uid=uid, files=sorted(files[uid])) for uid in files}  # a label more is another sample
    build(
        folder,
        keys,
        lambda uids: (Sample(uid, keys[uid], rows[uid], files[uid]) for uid in uids),
        title=folder.name,
    )


def write_scenes(root: Path, split: str, count: int, labelled: bool) -> None:
    files, rows = {}, {}
    for k in range(count):
        image, label = street(k + 1000 * len(split))
        uid = f"{split}-{k:06d}"
        files[uid] = {"image.png": png_bytes(image)} | ({"label.png": png_bytes(label)} if labelled else {})
        rows[uid] = {"height": HEIGHT, "width": WIDTH}
    write(root / "data/scenes" / split, files, rows)


def write_bank(root: Path, recipe: str, cutouts: dict[str, tuple[str, int, np.ndarray]]) -> None:
    files = {uid: {"rgba.png": png_bytes(rgba)} for uid, (_, _, rgba) in cutouts.items()}
    rows = {
        uid: {"class": name, "train_id": train_id, "height": rgba.shape[0], "width": rgba.shape[1]}
        for uid, (name, train_id, rgba) in cutouts.items()
    }
    write(root / "data/cutouts" / recipe, files, rows)


def box(height: int, width: int, colour: int) -> np.ndarray:
    rgba = np.full((height, width, 4), 255, np.uint8)
    rgba[..., :3] = colour
    return rgba


@pytest.fixture
def world(tmp_path: Path) -> Path:
    """The root of a repo with scenes, two banks and a params.yaml of a training of a second or two."""
    write_scenes(tmp_path, "source", 6, labelled=True)
    write_scenes(tmp_path, "target", 5, labelled=False)
    write_bank(tmp_path, "baseline", {})
    trucks = {f"truck-{k:06d}": ("truck", TRUCK, box(10, 20, 10)) for k in range(3)}
    write_bank(tmp_path, "grafted", trucks | {"bus-000000": ("bus", BUS, box(12, 12, 250))})
    short = {"method": "dacs", "iterations": 4, "batch": 2, "warmup": 1, "encoder": None}
    edit_params(tmp_path, lambda params: params["train"].update(short))
    edit_params(tmp_path, lambda params: params["engine"].update(threads=1))
    return tmp_path


def edit_params(root: Path, change: Callable[[dict], None]) -> None:
    yaml = YAML(typ="safe", pure=True)
    path = root / "params.yaml"
    params = yaml.load(path if path.exists() else Path(__file__).parents[2] / "params.yaml")
    change(params)
    yaml.dump(params, path)


@pytest.fixture
def root(world: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(world)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield world
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(False)
    torch.utils.deterministic.fill_uninitialized_memory = True  # type: ignore[attr-defined]


def outputs(recipe: str = "grafted", seed: int = 0) -> tuple[bytes, bytes]:
    weights, curve = (f"models/segmenters/{recipe}-{seed}.safetensors", f"data/trained/{recipe}-{seed}.csv")
    return Path(weights).read_bytes(), Path(curve).read_bytes()


def fails(capsys: pytest.CaptureFixture, *argv: str) -> str:
    with pytest.raises(SystemExit) as stop:
        main(argv)
    assert stop.value.code == 2
    message = capsys.readouterr().err.strip().splitlines()[-1]
    assert message.startswith("error: ")
    return message


def encoder_of_a_unet(folder: Path) -> dict[str, torch.Tensor]:
    torch.manual_seed(7)
    weights = {
        name: torch.rand_like(value)
        for name, value in build_segmenter("unet", 19).backbone.encoder.state_dict().items()
    }
    folder.mkdir()
    save_file(weights, folder / "model.safetensors")
    return weights
