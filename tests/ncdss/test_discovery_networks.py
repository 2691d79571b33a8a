"""The published network's shape [2.1], and files of networks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from stages.parts.discovery.networks import build_network, encoder_of, load_network, save_network, start_from
from stages.parts.errors import GraftError


@pytest.fixture(scope="module")
def published() -> Any:
    return build_network("deeplabv3-r50", 26)


def test_deeplab_has_the_published_parameters_and_stride(published: Any) -> None:
    assert sum(p.numel() for p in published.parameters()) == 39_640_154
    with torch.no_grad():
        maps = published.eval().backbone(torch.zeros(1, 3, 65, 97))
        assert tuple(maps[3].shape[1:]) == (2048, 9, 13)
        assert tuple(published.decode_head(maps).shape[1:]) == (26, 9, 13)


def test_deeplab_has_the_published_dilations_and_strides(published: Any) -> None:
    for layer, dilations in ((published.backbone.layer3, [1, 2, 2, 2, 2, 2]), (published.backbone.layer4, [2, 4, 4])):
        assert [block.conv2.dilation[0] for block in layer] == dilations
        assert {block.conv2.stride for block in layer} == {(1, 1)}
    assert [m.dilation[0] for m in published.decode_head.aspp.modules() if isinstance(m, torch.nn.Conv2d)][1:4] == [
        12,
        24,
        36,
    ]


def test_stem_and_two_layers_are_frozen_and_the_backbones_norms_stay(published: Any) -> None:
    published.train()
    backbone = published.backbone
    free = {name.partition(".")[0] for name, p in backbone.named_parameters() if p.requires_grad}
    assert free == {"layer3", "layer4"}
    norms = [module for module in backbone.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    assert not any(norm.training for norm in norms)
    assert backbone.layer3[0].bn1.weight.requires_grad
    assert published.decode_head.aspp.training and encoder_of(published) is backbone


def test_a_start_from_the_base_model_keeps_its_outputs_and_draws_the_new_ones() -> None:
    torch.manual_seed(0)
    base, wide = build_network("unet", 4), build_network("unet", 7)
    fresh = wide.decode_head.conv_seg.weight.clone()
    start_from(wide, base)
    assert torch.equal(wide.decode_head.conv_seg.weight[:4], base.decode_head.conv_seg.weight)
    assert torch.equal(wide.decode_head.conv_seg.weight[4:], fresh[4:])
    for one, other in zip(wide.backbone.parameters(), base.backbone.parameters(), strict=True):
        assert torch.equal(one, other)


def test_a_file_keeps_weights_in_half_and_what_the_outputs_are(tmp_path: Path) -> None:
    network, path = build_network("unet", 3), tmp_path / "a/b.safetensors"
    save_network(network, path, "unet", ("background", "car", "cluster 0"))
    size = path.stat().st_size
    assert size < 2.2 * sum(p.numel() for p in network.parameters())
    known, classes = load_network(path)
    assert classes == ("background", "car", "cluster 0") and not known.training
    for one, other in zip(known.parameters(), network.parameters(), strict=True):
        assert one.dtype == torch.float32 and torch.equal(one, other.half().float())
    save_network(known, tmp_path / "again.safetensors", "unet", classes)
    assert (tmp_path / "again.safetensors").read_bytes() == path.read_bytes()


def test_a_damaged_or_missing_file_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "x.safetensors").write_bytes(b"no")
    for name, said in (("x", "is damaged"), ("y", "no such network")):
        with pytest.raises(GraftError, match=said):
            load_network(tmp_path / f"{name}.safetensors")
