"""Damaged weights are one sentence: a file that is cut off before any work, one that lacks a tensor on opening."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file

from stages.parts.errors import GraftError
from stages.parts.pretrained.clip import Clip
from stages.parts.pretrained.features import Features
from stages.parts.pretrained.sam import Sam
from stages.parts.pretrained.weights import locate

OPEN: dict[str, Callable[[Path], Any]] = {"sam": Sam, "clip": lambda folder: Clip(folder, ["a bus"])}


@pytest.fixture(params=["sam", "clip"])
def copied(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, Path]:
    """A model's name, and a copy of its folder to spoil."""
    source = request.getfixturevalue(f"{request.param}_folder")
    return request.param, Path(shutil.copytree(source, tmp_path / request.param))


def without(folder: Path, start: str) -> None:
    """Take the tensors out whose names begin so."""
    path = folder / "model.safetensors"
    tensors = load_file(path)
    kept = {name: tensor for name, tensor in tensors.items() if not name.startswith(start)}
    assert len(kept) < len(tensors), f"no tensor is named {start}..."
    save_file(kept, path, {"format": "pt"})


@pytest.mark.parametrize("length", [0, 5, 1000, -1])
def test_a_file_that_is_cut_off_is_named_before_any_work(copied: tuple[str, Path], length: int) -> None:
    name, folder = copied
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(GraftError, match=r"model.safetensors is damaged .*; bring it back") as caught:
        locate(str(folder), f"refine.{name}")
    assert "\n" not in str(caught.value)
    with pytest.raises(GraftError, match="is no complete"):
        OPEN[name](folder)


def test_a_single_weights_file_is_looked_at_too(tmp_path: Path) -> None:
    path = tmp_path / "segmenter.safetensors"
    path.write_bytes(b"no weights")
    with pytest.raises(GraftError, match=r"segmenter.safetensors is damaged"):
        locate(str(path), "refine.segmenter")


@pytest.mark.parametrize(
    ("name", "start"), [("sam", "mask_decoder.iou_prediction_head"), ("clip", "visual_projection")]
)
def test_weights_that_lack_a_tensor_are_refused_not_made_up(
    name: str, start: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(request.getfixturevalue(f"{name}_folder"), tmp_path / name))
    OPEN[name](folder)
    without(folder, start)
    with pytest.raises(GraftError, match=rf"{name}: the weights lack .* such as {start}") as caught:
        OPEN[name](folder)
    assert "\n" not in str(caught.value)


def test_a_vision_transformer_may_lack_the_pooler_that_nobody_asks(tmp_path: Path) -> None:
    """As DINO's weights do; a layer it may not lack."""
    from transformers import ViTConfig, ViTImageProcessor, ViTModel

    config = ViTConfig(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32, image_size=32, patch_size=8
    )
    ViTModel(config, add_pooling_layer=False).save_pretrained(tmp_path)
    ViTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(tmp_path)
    Features(tmp_path)
    without(tmp_path, "layernorm" if "layernorm.weight" in load_file(tmp_path / "model.safetensors") else "vit.")
    with pytest.raises(GraftError, match="the weights lack"):
        Features(tmp_path)
