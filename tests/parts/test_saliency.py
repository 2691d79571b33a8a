"""One call for every saliency model, and one sentence for what is none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import SegformerConfig, SegformerForSemanticSegmentation, SegformerImageProcessor

from stages.parts.errors import GraftError
from stages.parts.pretrained.saliency import SmallU2Net, load_saliency, save

IMAGE = np.random.default_rng(0).integers(0, 256, (40, 56, 3), dtype=np.uint8)


def is_a_map(found: np.ndarray) -> bool:
    return found.shape == IMAGE.shape[:2] and found.dtype == np.float32 and 0 <= found.min() <= found.max() <= 1


def segformer(folder: Path, labels: int) -> Path:
    sizes = {"hidden_sizes": [8, 8, 8, 8], "depths": [1, 1, 1, 1], "num_attention_heads": [1, 1, 1, 1]}
    config = SegformerConfig(num_labels=labels, decoder_hidden_size=8, **sizes)
    SegformerForSemanticSegmentation(config).save_pretrained(folder)
    SegformerImageProcessor(size={"height": 64, "width": 64}).save_pretrained(folder)
    return folder


def test_the_small_net_gives_a_map_of_the_pictures_size_and_comes_back_whole(tmp_path: Path) -> None:
    torch.manual_seed(0)
    net = SmallU2Net(inner=4, wide=8)
    save(net, tmp_path)
    found = load_saliency(tmp_path)(IMAGE)
    assert is_a_map(found)
    with torch.no_grad():
        own = net.eval()(torch.from_numpy(IMAGE.astype(np.float32) / 255).permute(2, 0, 1)[None])[0].sigmoid()
    np.testing.assert_allclose(found, own[0, 0].numpy(), atol=1e-6)


@pytest.mark.parametrize("labels", [1, 2])
def test_a_model_of_transformers_with_one_mask_gives_a_map(tmp_path: Path, labels: int) -> None:
    assert is_a_map(load_saliency(segformer(tmp_path, labels))(IMAGE))


def test_a_model_that_tells_classes_apart_is_none(tmp_path: Path) -> None:
    with pytest.raises(GraftError, match="tells 7 classes apart"):
        load_saliency(segformer(tmp_path, 7))(IMAGE)


def test_what_is_no_model_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(GraftError, match="no saliency model"):
        load_saliency(tmp_path)
    (tmp_path / "net.onnx").write_bytes(b"nothing")
    with pytest.raises(GraftError, match="no ONNX model"):
        load_saliency(tmp_path / "net.onnx")
    save(SmallU2Net(inner=4, wide=8), tmp_path / "small")
    (tmp_path / "small/config.json").write_text('{"model_type": "small_u2net", "inner": 8, "wide": 8}')
    with pytest.raises(GraftError, match="no small U2-Net"):
        load_saliency(tmp_path / "small")
    (tmp_path / "small/model.safetensors").write_bytes(b"cut")
    with pytest.raises(GraftError, match="is damaged"):
        load_saliency(tmp_path / "small")
