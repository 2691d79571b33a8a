"""The networks against the published sizes, the Hub's weights against transformers' own SegFormer."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from mmseg.models.backbones import MixVisionTransformer
from safetensors.torch import load_file
from torch import nn
from transformers import SegformerConfig, SegformerForImageClassification

from stages.parts.errors import GraftError
from stages.parts.pretrained import weights
from stages.parts.segmenter import mit
from stages.parts.segmenter.files import load_encoder, load_segmenter, save_segmenter
from stages.parts.segmenter.hrda import HRDA
from stages.parts.segmenter.networks import build_segmenter


def parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def test_daformer_of_mit_b5_has_the_published_number_of_parameters():
    network = build_segmenter("daformer-b5", 19)
    assert parameters(network.backbone) == 81_443_008
    embedded = (64 + 128 + 320 + 512) * 256 + 4 * 256
    separable = 3 * (1024 * 9 + 2 * 1024 + 1024 * 256 + 2 * 256)
    bottleneck = 1024 * 256 * 9 + 2 * 256
    assert parameters(network.decode_head) == embedded + (1024 * 256 + 512) + separable + bottleneck + 257 * 19
    assert round(parameters(network) / 1e6, 1) == 85.2


@pytest.mark.parametrize(("name", "widths"), [("daformer-b0", 512), ("segformer-b0", 512), ("daformer-b5", 1024)])
def test_hrdas_attention_is_a_linear_embedding_and_one_convolution(name: str, widths: int):
    network = build_segmenter(name, 19, detail=(64, 64))
    assert isinstance(network, HRDA)
    embedded = widths * 256 + 4 * 256  # 32 + 64 + 160 + 256 channels in b0, 64 + 128 + 320 + 512 in b5; no norm
    assert parameters(network.attention_head) == embedded + (1024 * 256 + 2 * 256) + 257 * 19
    assert network.attention_head.fuse.conv.kernel_size == (1, 1)


def test_segformer_b0_has_mmsegmentations_number_of_parameters():
    assert parameters(build_segmenter("segformer-b0", 19)) == 3_720_051


@pytest.mark.parametrize("name", ["unet", "segformer-b0", "daformer-b0"])
def test_every_network_gives_one_logit_per_class_and_cell(name: str):
    network = build_segmenter(name, 5).eval()
    with torch.inference_mode():
        logits = network.encode_decode(torch.rand(2, 3, 64, 96), [{"img_shape": (64, 96)}] * 2)
    assert logits.shape == (2, 5, 64, 96)


def test_an_unknown_network_is_a_sentence():
    with pytest.raises(GraftError, match=r"train\.model 'vgg' is none of unet, segformer-b0"):
        build_segmenter("vgg", 5)


def tiny_hub_model(folder: Path) -> tuple[SegformerForImageClassification, MixVisionTransformer]:
    """A random SegFormer as transformers saves it (the Hub's layout), and the mmsegmentation encoder of its shape."""
    torch.manual_seed(0)
    shape = {"num_attention_heads": [1, 2, 3, 4], "sr_ratios": [8, 4, 2, 1]}
    config = SegformerConfig(hidden_sizes=[8, 16, 24, 32], depths=[1, 2, 1, 1], output_hidden_states=True, **shape)
    theirs = SegformerForImageClassification(config).eval()
    for parameter in theirs.parameters():
        nn.init.normal_(parameter, std=0.3)  # norms and biases too: none may be mistaken for another
    theirs.save_pretrained(folder)
    ours = MixVisionTransformer(
        embed_dims=8, num_layers=[1, 2, 1, 1], num_heads=shape["num_attention_heads"], sr_ratios=shape["sr_ratios"],
        patch_sizes=[7, 3, 3, 3], out_indices=(0, 1, 2, 3), qkv_bias=True,
    ).eval()  # fmt: skip
    return theirs, ours


def test_the_hubs_weights_give_the_same_features(tmp_path: Path):
    theirs, ours = tiny_hub_model(tmp_path)
    state = load_file(tmp_path / "model.safetensors")
    assert "segformer.encoder.block.0.0.attention.self.query.weight" in state  # as in nvidia/mit-b0
    assert mit.is_from_hub(state)
    ours.load_state_dict(mit.from_hub(state))  # strict: every key of either is used
    images = torch.randn(2, 3, 64, 64)
    with torch.inference_mode():
        levels, known = ours(images), theirs(images).hidden_states
    for level, expected in zip(levels, known, strict=True):
        torch.testing.assert_close(level, expected, rtol=1e-3, atol=1e-3)  # eps of the norms: 1e-6 here, 1e-5 there


def test_an_encoder_of_the_hubs_layout_is_loaded_into_a_network(tmp_path: Path):
    """nvidia/mit-b0's shape, with random weights, as transformers writes it."""
    torch.manual_seed(0)
    SegformerForImageClassification(SegformerConfig()).save_pretrained(tmp_path)
    network = build_segmenter("daformer-b0", 19)
    encoder = load_encoder(network, weights.find_encoder(str(tmp_path), None))
    assert encoder is network.backbone
    expected = mit.from_hub(load_file(tmp_path / "model.safetensors"))
    state = network.backbone.state_dict()
    assert state.keys() == expected.keys()
    assert all(torch.equal(value, expected[name]) for name, value in state.items())
    with pytest.raises(GraftError, match=r"is not the encoder of train\.model"):
        load_encoder(build_segmenter("daformer-b1", 19), tmp_path / "model.safetensors")


def test_an_unknown_key_of_the_hub_is_no_silent_loss():
    with pytest.raises(KeyError, match="rotary"):
        mit.from_hub({"segformer.encoder.rotary.weight": torch.zeros(1)})


def test_an_encoder_is_found_in_a_folder_or_at_a_commit(tmp_path: Path):
    with pytest.raises(GraftError, match=r"give its commit as train\.encoder_revision"):
        weights.find_encoder("nvidia/mit-b0", None)
    with pytest.raises(GraftError, match=r"hf download nobody/mit-b9 model\.safetensors --revision abc"):
        weights.find_encoder("nobody/mit-b9", "abc")
    with pytest.raises(GraftError, match=r"set train\.encoder_revision to null"):
        weights.find_encoder(str(tmp_path), "abc")


def test_an_hrda_network_comes_back_from_its_file(tmp_path: Path):
    torch.manual_seed(0)
    network = build_segmenter("unet", 5, detail=(32, 64))
    assert isinstance(network, HRDA)
    save_segmenter(network, tmp_path / "a.safetensors", "unet", ["a", "b", "c", "d", "e"])
    loaded, _ = load_segmenter(tmp_path / "a.safetensors")
    assert isinstance(loaded, HRDA) and loaded.detail == (32, 64)
    images = torch.rand(1, 3, 64, 128)
    with torch.inference_mode():
        assert torch.equal(loaded.fused(images), network.eval().fused(images))
