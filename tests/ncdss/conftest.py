"""A tiny world on disk: photos of 32 pixels, maps of saliency, an encoder of random weights, cutouts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.utils.deterministic
from PIL import Image
from ruamel.yaml import YAML
from safetensors.torch import save_file

from stages.ncdss.params import Ncdss, Params
from stages.parts.datasets.label_spaces import SMALL_VOC
from stages.parts.sections import read
from stages.parts.segmenter.networks import build_segmenter
from stages.parts.store.samples import Sample, build, png_bytes
from stages.parts.world.photos import photo

ROOT = Path(__file__).parents[2]
NOVEL = ("truck", "bus", "train")
SIDE = 32
COUNTS = {"train": 20, "val": 5, "test": 4}
SHORT: dict[str, Any] = {
    "seeds": [0],
    "rows": {"basic": ["exact", "overclustered", "named", "cutouts", "both"], "eums": ["exact", "both"]},
    "network": {"name": "fpn", "encoder": "encoder", "start": "base"},
    "learning": {"batch": 2, "epoch": 1},
    "base": {"iterations": 3},
    "regions": {"saliency": "maps", "min_area": None, "min_pixels": 8},
    "cluster": {"encoder": "encoder", "dimensions": 4, "overclustered": 4, "named": 4, "starts": 2},
    "basic": {"iterations": 2, "long": 4},
    "eums": {"iterations": 5, "reassign": 3},
}


def write(folder: Path, files: dict[str, dict[str, bytes]], rows: dict[str, dict[str, Any]]) -> None:
    build(
        folder,
        dict.fromkeys(files, "k"),
        lambda uids: (Sample(uid, "k", rows[uid], files[uid]) for uid in uids),
        title=folder.name,
    )


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made once, copied for each test that runs stages."""
    root = tmp_path_factory.mktemp("ncdss")
    maps = root / "maps"
    maps.mkdir()
    bank: dict[str, dict[str, bytes]] = {}
    about: dict[str, dict[str, Any]] = {}
    for split, count in COUNTS.items():
        files, rows = {}, {}
        for k in range(count):
            uid, taken = f"{split}-{k:06d}", photo(k, 0, split, SIDE)  # type: ignore[arg-type]
            files[uid] = {"image.png": png_bytes(taken.image), "label.png": png_bytes(taken.label)}
            rows[uid] = {"height": SIDE, "width": SIDE}
            if split == "train":
                Image.fromarray((taken.label > 0).astype(np.uint8) * np.uint8(255)).save(maps / f"{uid}.png")
            for name in NOVEL:
                mask = taken.label == SMALL_VOC.id(name)
                if mask.sum() > 30:
                    rgba = np.dstack([taken.image * mask[..., None], mask.astype(np.uint8) * np.uint8(255)])
                    cols, lines = np.flatnonzero(mask.any(0)), np.flatnonzero(mask.any(1))
                    cut = rgba[lines[0] : lines[-1] + 1, cols[0] : cols[-1] + 1]
                    bank[f"{name}-{uid}"] = {"rgba.png": png_bytes(np.ascontiguousarray(cut))}
                    about[f"{name}-{uid}"] = {"class": name}
        write(root / "data/photos" / split, files, rows)
    write(root / "data/cutouts/grafted", bank, about)
    torch.manual_seed(7)
    (root / "encoder").mkdir()
    weights = {k: v.contiguous() for k, v in build_segmenter("unet", 2).backbone.encoder.state_dict().items()}
    save_file(weights, root / "encoder/model.safetensors")
    edit(root, lambda ncdss: None)
    return root


def edit(root: Path, change: Callable[[dict[str, Any]], object]) -> None:
    yaml = YAML(typ="safe", pure=True)
    path = root / "params.yaml"
    params = yaml.load(path if path.exists() else ROOT / "params.yaml")
    if not path.exists():
        for name, values in SHORT.items():
            params["ncdss"][name] = {**params["ncdss"][name], **values} if isinstance(values, dict) else values
        params["engine"]["threads"] = 1
    change(params["ncdss"])
    yaml.dump(params, path)


def settings() -> Ncdss:
    return read(Params).ncdss


@pytest.fixture
def quiet() -> Iterator[None]:
    """What the trainings set for the process is put back."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(False)
    torch.utils.deterministic.fill_uninitialized_memory = True  # type: ignore[attr-defined]
