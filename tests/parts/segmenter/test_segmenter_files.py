"""The files of segmenters: the same bytes from the same weights, and a sentence for a bad one."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from stages.parts.errors import GraftError
from stages.parts.segmenter.files import load_segmenter, save_segmenter
from stages.parts.segmenter.networks import build_segmenter


def test_segmenter_files(tmp_path: Path):
    torch.manual_seed(0)
    names = [f"class {k}" for k in range(5)]
    model = build_segmenter("unet", 5)
    save_segmenter(model, tmp_path / "a.safetensors", "unet", names)
    save_segmenter(model, tmp_path / "b.safetensors", "unet", names)
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()
    loaded, classes = load_segmenter(tmp_path / "a.safetensors")
    assert classes == tuple(names)
    for key, value in load_file(tmp_path / "a.safetensors").items():
        assert torch.equal(value, model.state_dict()[key])
        assert torch.equal(value, loaded.state_dict()[key])


@pytest.mark.parametrize("damage", ["missing", "cut", "empty", "foreign", "other classes"])
def test_a_bad_segmenter_file_is_a_sentence(tmp_path: Path, damage: str):
    path = tmp_path / "a.safetensors"
    names = [f"class {k}" for k in range(5)]
    save_segmenter(build_segmenter("unet", 5), path, "unet", names[:4] if damage == "other classes" else names)
    content = path.read_bytes()
    if damage == "missing":
        path.unlink()
    elif damage != "other classes":
        path.write_bytes({"cut": content[:-100], "empty": b"", "foreign": b"no tensors" * 100}[damage])
    with pytest.raises(GraftError, match=r"a\.safetensors.*stages\.train"):
        load_segmenter(path)
