"""Principal masks: what looks like the place where the map peaks, by hand and over real encoders."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from transformers import CLIPImageProcessor, CLIPModel, ConvNextImageProcessor, ResNetConfig, ResNetModel

from stages.parts.errors import GraftError
from stages.parts.masks.principal import principal_mask, touched
from stages.parts.pretrained.features import Features
from stages.refine.methods import Principal
from tests.refine.drawings import OFF, block, drawn


def two_part_features() -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Left half of an 8 x 8 grid looks like e0, right half like e1; the map peaks in the left."""
    features = np.zeros((3, 8, 8), np.float32)
    features[0, :, :4] = features[1, :, 4:] = 2.0
    attribution = np.zeros((64, 64), np.float32)
    attribution[16:48, 4:20] = 1.0
    return features, attribution


def test_the_region_that_looks_like_the_peak_is_the_mask() -> None:
    features, attribution = two_part_features()
    mask = principal_mask(features, attribution, 0.5)
    assert mask[:, :28].all() and not mask[:, 36:].any()


def test_a_like_region_that_the_map_does_not_touch_is_left_out() -> None:
    features, attribution = two_part_features()
    features[:, :, 4] = 0
    features[2, :, 4] = 1.0
    features[0, :, 6:], features[1, :, 6:] = 2.0, 0.0
    assert not principal_mask(features, attribution, 0.6)[:, 44:].any()


def test_the_scale_and_sign_of_nothing_matters() -> None:
    features, attribution = two_part_features()
    assert np.array_equal(principal_mask(features, attribution, 0.5), principal_mask(-9 * features, attribution, 0.5))
    assert not principal_mask(features, np.zeros((64, 64), np.float32), 0.5).any()
    assert not principal_mask(np.zeros_like(features), attribution, 0.5).any()


def test_touched_keeps_whole_parts() -> None:
    parts = block(2, 10, 2, 10) | block(30, 40, 30, 40)
    assert np.array_equal(touched(parts, block(5, 6, 5, 6)), block(2, 10, 2, 10))


def test_patch_tokens_of_a_frozen_encoder_make_a_map(clip_folder: Path) -> None:
    features = Features(clip_folder)
    maps = features(drawn(0).image)
    assert maps.shape == (16, 4, 4) and np.isfinite(maps).all()
    mirrored = features(drawn(0).image[:, ::-1].copy())
    assert not np.allclose(maps, mirrored)
    found = Principal(features, 0.4, OFF)({0: drawn(0)})[0]
    assert found.mask.shape == (64, 64) and found.candidates is None


def test_features_are_the_patch_tokens_themselves_without_the_class_token(clip_folder: Path) -> None:
    """At the encoder's own size nothing is resized or normalised on the way: the published preprocessing by hand."""
    image = np.random.default_rng(0).integers(0, 256, (32, 32, 3)).astype(np.uint8)
    processor = CLIPImageProcessor.from_pretrained(clip_folder)
    pixels = (image / 255 - np.array(processor.image_mean)) / np.array(processor.image_std)
    encoder = CLIPModel.from_pretrained(clip_folder).vision_model.eval()
    with torch.no_grad():
        tokens = encoder(pixel_values=torch.from_numpy(pixels).permute(2, 0, 1)[None].float()).last_hidden_state[0]
    assert len(tokens) == 17
    expected = tokens[1:].numpy().reshape(4, 4, 16).transpose(2, 0, 1)
    assert Features(clip_folder)(image) == pytest.approx(expected, abs=1e-4)


def resnet(folder: Path) -> None:
    """As Hugging Face saves one, its processor with a shortest edge alone."""
    torch.manual_seed(0)
    config = ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], layer_type="basic")
    ResNetModel(config).save_pretrained(folder)
    ConvNextImageProcessor(size={"shortest_edge": 64}, crop_pct=0.875).save_pretrained(folder)


def test_the_map_of_a_convolutional_encoder_is_taken_as_it_is(tmp_path: Path) -> None:
    resnet(tmp_path)
    features, one = Features(tmp_path), drawn(0)
    maps = features(one.image)
    processor = ConvNextImageProcessor.from_pretrained(tmp_path)
    pixels = (one.image / 255 - np.array(processor.image_mean)) / np.array(processor.image_std)
    with torch.no_grad():
        model = ResNetModel.from_pretrained(tmp_path).eval()
        expected = model(torch.from_numpy(pixels).permute(2, 0, 1)[None].float()).last_hidden_state[0].numpy()
    assert maps.shape == expected.shape == (16, 8, 8)
    assert maps == pytest.approx(expected, abs=1e-4)
    found = Principal(features, 0.4, OFF)({0: one})[0].mask
    assert found.shape == (64, 64) and found.any() and not found.all()


def test_an_encoder_that_gives_neither_map_nor_patch_tokens_is_a_sentence(clip_folder: Path) -> None:
    features = Features(clip_folder)
    features.patch = None
    with pytest.raises(GraftError, match=r"gives neither a map of features nor a token per patch; params\.yaml refine"):
        features(drawn(0).image)


def test_a_batch_in_the_encoders_own_size_is_what_each_image_is_alone(clip_folder: Path, tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3)).astype(np.uint8)
    features = Features(clip_folder)
    assert features.batch(images) == pytest.approx(np.stack([features(image) for image in images]), abs=1e-4)
    resnet(tmp_path)
    assert Features(tmp_path).batch(images[:, :, :16]).shape == (3, 16, 4, 2)


def test_images_that_are_not_square_keep_their_shape_and_what_the_others_are_changes_nothing(clip_folder: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (3, 16, 48, 3)).astype(np.uint8)
    features = Features(clip_folder)
    together = features.batch(images)
    assert together.shape == (3, 16, 2, 6)  # patches of 8 x 8
    assert features.batch(images[1:2])[0] == pytest.approx(together[1], abs=1e-4)
    assert features.batch(np.zeros((1, 19, 45, 3), np.uint8)).shape == (1, 16, 2, 6)  # to the nearest multiple
