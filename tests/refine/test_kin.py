"""The kin of SAM in transformers' layout, tiny and random: a prompt goes where their own processors put it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import (
    EdgeTamConfig,
    EdgeTamModel,
    Sam2Config,
    Sam2ImageProcessor,
    Sam2Model,
    Sam2Processor,
    SamHQConfig,
    SamHQModel,
    SamModel,
    TimmWrapperConfig,
)

from stages.parts.masks.sam_prompts import STYLES
from stages.parts.pretrained.sam import Sam
from stages.refine.methods import open_sam
from tests.parts.pretrained.conftest import SIDE, sam_processor, tiny_sam_config
from tests.refine.test_backends import asked, picture


def hq(folder: Path) -> None:
    c = tiny_sam_config()
    parts = {
        name: getattr(c, name).to_dict() for name in ("vision_config", "prompt_encoder_config", "mask_decoder_config")
    }
    for part in parts.values():
        part.pop("model_type", None)
    parts["mask_decoder_config"]["vit_dim"] = 16
    SamHQModel(SamHQConfig(**parts)).save_pretrained(folder)
    sam_processor(SIDE).save_pretrained(folder)


DECODER = {"hidden_size": 16, "mlp_dim": 32, "num_attention_heads": 2, "iou_head_hidden_dim": 16}
PROMPTS = {"hidden_size": 16, "image_size": SIDE, "patch_size": 16, "mask_input_channels": 4}
GRIDS = [[16, 16], [8, 8], [4, 4]]


def save_sam2(model: Sam2Model | EdgeTamModel, folder: Path) -> None:
    model.save_pretrained(folder)
    square = {"height": SIDE, "width": SIDE}
    Sam2Processor(Sam2ImageProcessor(size=square, mask_size={"height": 16, "width": 16})).save_pretrained(folder)


def sam2(folder: Path) -> None:
    backbone = {
        "model_type": "sam2_hiera_det_model", "hidden_size": 8, "num_attention_heads": 1, "image_size": [SIDE, SIDE],
        "blocks_per_stage": [1, 1, 2, 1], "embed_dim_per_stage": [8, 16, 32, 64], "global_attention_blocks": [3],
        "num_attention_heads_per_stage": [1, 1, 2, 2], "window_positional_embedding_background_size": [4, 4],
        "initializer_range": 0.3,
    }  # fmt: skip
    vision = {
        "backbone_config": backbone, "backbone_channel_list": [64, 32, 16, 8], "backbone_feature_sizes": GRIDS,
        "fpn_hidden_size": 16, "initializer_range": 0.3,
    }  # fmt: skip
    config = Sam2Config(
        vision_config=vision, prompt_encoder_config=PROMPTS, mask_decoder_config=DECODER, initializer_range=0.3
    )
    save_sam2(Sam2Model(config), folder)


def edgetam(folder: Path) -> None:
    outs = {"in_chans": 3, "features_only": True, "out_indices": [0, 1, 2, 3]}
    vision = {
        "backbone_config": TimmWrapperConfig(architecture="repvit_m1", model_args=outs), "fpn_hidden_size": 16,
        "backbone_channel_list": [384, 192, 96, 48], "backbone_feature_sizes": GRIDS,
    }  # fmt: skip
    config = EdgeTamConfig(vision_config=vision, prompt_encoder_config=PROMPTS, mask_decoder_config=DECODER)
    save_sam2(EdgeTamModel(config), folder)


def sam(folder: Path) -> None:
    torch.manual_seed(5)
    SamModel(tiny_sam_config()).eval().save_pretrained(folder)
    sam_processor(SIDE).save_pretrained(folder)


@pytest.mark.parametrize(("height", "width"), [(64, 64), (48, 80), (200, 333)])
@pytest.mark.parametrize("make", [sam, hq, sam2, edgetam])
def test_a_prompt_is_scaled_as_the_processor_scales_it_with_the_image(
    tmp_path: Path, make: Callable[[Path], None], height: int, width: int
) -> None:
    make(tmp_path)
    model, image, question = open_sam(tmp_path, "cpu"), picture(height, width), asked("box+points", height, width)
    assert isinstance(model, Sam) and question.box is not None
    told: dict[str, Any] = {}
    model.model.register_forward_pre_hook(lambda _, __, given: told.update(given), with_kwargs=True)
    found = model.ask(model.encode([image])[0], question)
    expected = model.processor(
        images=Image.fromarray(image), return_tensors="pt", input_points=[[question.points.tolist()]],
        input_labels=[[question.labels.tolist()]], input_boxes=[[question.box.tolist()]],
    )  # fmt: skip
    for name in ("input_points", "input_labels", "input_boxes"):
        assert told[name].shape == expected[name].shape
        assert torch.allclose(told[name].double(), expected[name].double(), atol=1e-4, rtol=0), name
    assert found.logits.shape == (3, height, width)


@pytest.mark.parametrize("make", [hq, sam2, edgetam])
def test_the_kin_of_sam_answer_every_style_and_one_by_one_as_in_a_batch(
    make: Callable[[Path], None], tmp_path: Path
) -> None:
    torch.manual_seed(0)
    make(tmp_path)
    model = open_sam(tmp_path, "cpu")
    first, second = picture(48, 80), picture(48, 80, seed=1)
    for style in STYLES:
        alone = model.ask(model.encode([second])[0], asked(style, 48, 80))
        beside = model.ask(model.encode([first, second])[1], asked(style, 48, 80))
        assert alone.logits.shape == (3, 48, 80) and alone.predicted_iou.shape == (3,)
        assert np.abs(alone.logits - beside.logits).max() <= 1e-4 * np.abs(alone.logits).max()
