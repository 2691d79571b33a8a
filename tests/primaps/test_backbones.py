"""One call for every backbone: real transformers of a tiny size, and classes of one's own."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from transformers import BitImageProcessor, Dinov2Config, Dinov2Model, ViTConfig, ViTImageProcessor, ViTModel

from stages.parts.errors import GraftError
from stages.parts.pretrained.backbones import Colours, Untrained, VisionTransformer, finite_features, open_backbone
from stages.parts.pretrained.kept_features import KeptFeatures, pixels

TINY = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "image_size": 32}


@pytest.fixture(scope="module")
def dino(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As facebook/dino-vits8: a class token, position embeddings that need to be told to stretch."""
    folder = tmp_path_factory.mktemp("dino")
    torch.manual_seed(0)
    ViTModel(ViTConfig(**TINY, intermediate_size=32, patch_size=8), add_pooling_layer=False).save_pretrained(folder)
    ViTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def dinov2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dinov2")
    torch.manual_seed(0)
    Dinov2Model(Dinov2Config(**TINY, patch_size=4)).save_pretrained(folder)
    BitImageProcessor(image_mean=[0.5] * 3, image_std=[0.25] * 3).save_pretrained(folder)
    return folder


def pictures(height: int, width: int, count: int = 2) -> Tensor:
    return torch.rand(count, 3, height, width, generator=torch.Generator().manual_seed(0))


def test_features_are_the_last_patch_tokens_of_the_normalised_picture(dino: Path) -> None:
    images = pictures(32, 32)
    mean, std = (torch.tensor([0.5] * 3).reshape(3, 1, 1) for _ in range(2))  # ViTImageProcessor's
    with torch.no_grad():
        model = ViTModel.from_pretrained(dino, add_pooling_layer=False).eval()
        tokens = model(pixel_values=(images - mean) / std).last_hidden_state
    assert tokens.shape == (2, 17, 16)
    expected = tokens[:, 1:].transpose(1, 2).reshape(2, 16, 4, 4)
    assert torch.allclose(VisionTransformer(dino, 1)(images), expected, atol=1e-5)


@pytest.mark.parametrize(("height", "width"), [(32, 32), (16, 48), (8, 8), (64, 128)])
def test_any_grid_and_pictures_that_are_not_square(dino: Path, dinov2: Path, height: int, width: int) -> None:
    images = pictures(height, width)
    assert VisionTransformer(dino, 1)(images).shape == (2, 16, height // 8, width // 8)
    assert VisionTransformer(dinov2, 1)(images).shape == (2, 16, height // 4, width // 4)
    assert VisionTransformer(dinov2, 2)(images).shape == (2, 16, height // 2, width // 2)


def test_two_calls_agree_and_pictures_do_not_see_each_other(dinov2: Path) -> None:
    backbone, images = VisionTransformer(dinov2, 2), pictures(16, 32, 3)
    assert torch.equal(backbone(images), backbone(images)), "nothing is dropped out"
    assert torch.allclose(backbone(images)[1:2], backbone(images[1:2]), atol=1e-5)
    assert not backbone(images).requires_grad


def test_a_finer_grid_interleaves_passes_of_a_moved_picture(dinov2: Path) -> None:
    """Cells of the finer grid: the first of a pair looks a pixel to the left and up, the second right and down."""
    images = pictures(24, 24)
    fine, plain = VisionTransformer(dinov2, 2)(images), VisionTransformer(dinov2, 1)
    right_down = torch.nn.functional.pad(images, (0, 1, 0, 1), mode="replicate")[..., 1:, 1:]
    left_up = torch.nn.functional.pad(images, (1, 0, 1, 0), mode="replicate")[..., :24, :24]
    assert torch.allclose(fine[..., 1::2, 1::2], plain(right_down), atol=1e-5)
    assert torch.allclose(fine[..., ::2, ::2], plain(left_up), atol=1e-5)


def test_a_picture_that_the_patch_does_not_divide_is_a_sentence(dino: Path) -> None:
    with pytest.raises(
        GraftError, match=r"30 x 32 pixels cannot be cut into the patches of 8 .* primaps\.size\.multiple"
    ):
        VisionTransformer(dino, 1)(pictures(30, 32))
    with pytest.raises(GraftError, match=r"primaps\.shifts: 3 does not divide the patch of 8 pixels"):
        VisionTransformer(dino, 3)


def test_a_class_of_ones_own_is_a_backbone() -> None:
    backbone = open_backbone("stages.parts.pretrained.backbones:Colours", None, 1)
    assert isinstance(backbone, Colours)
    assert torch.equal(backbone(torch.ones(1, 3, 4, 6)), torch.ones(1, 3, 2, 3))
    for source, words in (("no.such.module:X", "cannot be imported"), ("stages.parts.errors:X", "cannot be imported")):
        with pytest.raises(GraftError, match=rf"primaps\.backbone: {re.escape(source)} {words}"):
            open_backbone(source, None, 1)


def test_features_that_are_no_numbers_or_no_map_are_a_sentence() -> None:
    images = pictures(8, 8)
    with pytest.raises(GraftError, match="broken gives features that are not finite"):
        finite_features(lambda batch: torch.full((len(batch), 4, 2, 2), torch.nan), images, "broken")
    with pytest.raises(GraftError, match=r"broken gives \(2, 4\) for 2 pictures; a backbone gives \(B, C, h, w\)"):
        finite_features(lambda batch: torch.zeros(len(batch), 4), images, "broken")


def test_what_is_neither_here_nor_in_the_cache_is_a_sentence(dino: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(GraftError, match=r"primaps\.backbone: 'facebook/dino-vits8x' is neither a folder here nor"):
        open_backbone("facebook/dino-vits8x", None, 1)
    with pytest.raises(GraftError, match=r"facebook/dino-vits8x at 0123 is not in the local hub cache"):
        open_backbone("facebook/dino-vits8x", "0123", 1)
    with pytest.raises(GraftError, match=r"primaps\.revision: .* is a folder"):
        open_backbone(str(dino), "0123", 1)


def test_random_weights_are_other_features_every_time_the_same(dinov2: Path) -> None:
    images = pictures(16, 16)
    one, other = (Untrained(dinov2, 1)(images) for _ in range(2))
    assert torch.equal(one, other) and not torch.allclose(one, VisionTransformer(dinov2, 1)(images))


def test_kept_features_are_what_would_be_computed_again(dinov2: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images, calls = pictures(16, 16, 1), []

    def asked() -> Tensor:
        calls.append(1)
        return images

    kept = KeptFeatures(str(dinov2), None, 1, "cpu")
    first = kept.named(("a",), asked)
    assert torch.equal(first, kept.named(("a",), asked)) and len(calls) == 1
    monkeypatch.setattr("stages.parts.pretrained.kept_features.MEMORY", 0)
    short = KeptFeatures(str(dinov2), None, 1, "cpu")
    assert torch.equal(first, short.named(("a",), asked)) and torch.equal(first, short.named(("a",), asked))
    assert len(calls) == 3
    both = kept.mirrored(("a",), asked)
    assert torch.allclose(both, (kept(images) + kept(images.flip(3)).flip(3)) / 2)


def test_pictures_of_two_sizes_are_a_sentence() -> None:
    with pytest.raises(GraftError, match=r"several sizes; set params\.yaml primaps\.size"):
        pixels([np.zeros((8, 8, 3), np.uint8), np.zeros((8, 9, 3), np.uint8)])
