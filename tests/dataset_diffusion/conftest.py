"""A tiny project: photos of flat colours with captions, a pipeline of random weights, the line's params for them."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.utils.deterministic
from diffusers import DDIMScheduler
from ruamel.yaml import YAML

from stages.parts.datasets.label_spaces import SMALL_VOC
from stages.parts.datasets.photo_shards import STORED, jpeg_bytes
from stages.parts.store.samples import Sample, build, key, png_bytes
from tests.dataset_diffusion.pieces import CLIP_LIKE, tokenizer_of
from tests.parts.recording.conftest import TINY_UNET, pipeline

ROOT = Path(__file__).parents[2]
SIDE = 32
CAPTIONS = ("a bus and a car", "a car at night", "a person", "an empty road", "two trucks and a bus")
WORDS = [*CLIP_LIKE, ["truck"], ["train"], ["motor", "cycle"], ["a"], ["and"], ["photo"], ["of"], ["at"], ["night"]]


@pytest.fixture(scope="session")
def drawer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a Stable Diffusion of random weights, two levels deep, whose latent of 64 pixels is 8 x 8."""
    folder = tmp_path_factory.mktemp("drawer") / "tiny"
    words = tokenizer_of(WORDS, longest=32)
    pipe = pipeline(words, DDIMScheduler(steps_offset=1, clip_sample=False), TINY_UNET)
    with torch.no_grad():  # attention of random weights is so even that its fourth power holds nothing but rounding
        for name, weights in pipe.unet.named_parameters():
            if name.endswith("to_q.weight"):
                weights.mul_(20)
    pipe.save_pretrained(folder)
    return folder


def photo(number: int) -> tuple[np.ndarray, np.ndarray]:
    """(image, label): one flat rectangle of a class on a dark ground, a line of 255 below it."""
    rng = np.random.default_rng(number)
    label = np.zeros((SIDE, SIDE), np.uint8)
    kind, row, col = 1 + number % 6, *rng.integers(2, 12, 2)
    label[row : row + 14, col : col + 16] = kind
    label[row + 14, col : col + 16] = 255
    image = (40 * label[..., None].astype(int) % 251 + rng.integers(0, 20, (SIDE, SIDE, 3))).astype(np.uint8)
    return image, label


def write_photos(root: Path, split: str, count: int) -> None:
    names, keys = [f"{split}-{k:06d}" for k in range(count)], {}
    for name in names:
        keys[name] = key(name=name)

    def make(uids: list[str]) -> Iterator[Sample]:
        for uid in uids:
            number = int(uid.rpartition("-")[2])
            image, label = photo(number + 100 * len(split))
            row = {"height": SIDE, "width": SIDE, "caption": CAPTIONS[number % len(CAPTIONS)]}
            yield Sample(uid, keys[uid], row, {STORED: jpeg_bytes(image), "label.png": png_bytes(label)})

    build(root / "data/photos" / split, keys, make, title=split)


def edit(change: Callable[[dict[str, Any]], None], root: Path = Path()) -> None:
    """Change the params.yaml of a project."""
    yaml = YAML()
    path = root / "params.yaml"
    params = yaml.load(path if path.exists() else ROOT / "params.yaml")
    change(params)
    yaml.dump(params, path)


def set_line(values: Mapping[str, Any], root: Path = Path()) -> None:
    """Set dotted keys of the section dataset_diffusion."""

    def change(params: dict[str, Any]) -> None:
        params["engine"]["threads"] = 1
        for dotted, value in values.items():
            section = params["dataset_diffusion"]
            *above, last = dotted.split(".")
            for name in above:
                section = section[name]
            section[last] = value

    edit(change, root)


TINY = {
    "model": "model", "captions.count": 5, "generate.steps": 1, "generate.batch": 2, "generate.height": 64,
    "generate.width": 64, "generate.negative": "", "powers": [0, 1, 2, 4], "masks.snap.model": None,
    "masks.presence.model": None,
    "train.encoder": None, "train.iterations": 3, "train.batch": 2, "train.crop": [32, 32], "seeds": [0],
}  # fmt: skip


@pytest.fixture
def project(tmp_path: Path, drawer: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The tiny project as the current directory; nothing is made yet but its photos."""
    shutil.copytree(drawer, tmp_path / "model")
    for split, count in (("train", 6), ("val", 2), ("test", 3)):
        write_photos(tmp_path, split, count)
    set_line(TINY, tmp_path)
    monkeypatch.chdir(tmp_path)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield tmp_path
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(False)
    torch.utils.deterministic.fill_uninitialized_memory = True  # type: ignore[attr-defined]


def fails(main: Callable[[list[str]], None], capsys: pytest.CaptureFixture[str], *argv: str) -> str:
    """The one sentence with which a command ends."""
    with pytest.raises(SystemExit) as stopped:
        main(list(argv))
    assert stopped.value.code == 2
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert said.startswith("error: ")
    return said


def content(folder: Path | str) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in Path(folder).rglob("*") if path.is_file()}


CLASSES = SMALL_VOC.names
