"""Real, tiny, random SAM and CLIP, saved as folders: the adapters load them as they load the big ones."""

from __future__ import annotations

import string
from pathlib import Path

import pytest
import torch
from transformers import (
    CLIPConfig,
    CLIPImageProcessor,
    CLIPModel,
    CLIPTokenizer,
    SamConfig,
    SamImageProcessor,
    SamModel,
    SamProcessor,
)

SIDE = 64


def tiny_sam_config() -> SamConfig:
    return SamConfig(
        vision_config={
            "hidden_size": 16, "output_channels": 16, "num_hidden_layers": 2, "num_attention_heads": 2,
            "image_size": SIDE, "patch_size": 4, "num_pos_feats": 8, "window_size": 4,
            "global_attn_indexes": [1], "mlp_dim": 32, "initializer_range": 0.3,
        },
        prompt_encoder_config={
            "hidden_size": 16, "image_size": SIDE, "patch_size": 4, "mask_input_channels": 4,
        },
        mask_decoder_config={
            "hidden_size": 16, "mlp_dim": 32, "num_attention_heads": 2, "num_hidden_layers": 2,
            "iou_head_hidden_dim": 16,
        },
        initializer_range=0.3,
    )  # fmt: skip


def sam_processor(side: int) -> SamProcessor:
    square = {"height": side, "width": side}
    return SamProcessor(SamImageProcessor(size={"longest_edge": side}, pad_size=square))


@pytest.fixture(scope="session")
def sam_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "sam"
    torch.manual_seed(0)
    SamModel(tiny_sam_config()).save_pretrained(folder)
    sam_processor(SIDE).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def mismatched_sam_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model for 64 px beside a processor for 1024 px, as when only the weights were replaced."""
    folder = tmp_path_factory.mktemp("models") / "mismatched"
    SamModel(tiny_sam_config()).save_pretrained(folder)
    sam_processor(1024).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def clip_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "clip"
    letters = [*string.ascii_lowercase, *(letter + "</w>" for letter in string.ascii_lowercase)]
    vocabulary = {token: index for index, token in enumerate([*letters, "<|startoftext|>", "<|endoftext|>"])}
    CLIPTokenizer(vocab=vocabulary, merges=[], model_max_length=32).save_pretrained(folder)
    CLIPImageProcessor(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}).save_pretrained(folder)
    torch.manual_seed(0)
    CLIPModel(tiny_clip_config(len(vocabulary))).save_pretrained(folder)
    return folder


def tiny_clip_config(tokens: int) -> CLIPConfig:
    tower = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    text = {
        "vocab_size": tokens,
        "bos_token_id": tokens - 2,
        "eos_token_id": tokens - 1,
        "pad_token_id": tokens - 1,
    }
    return CLIPConfig(
        text_config={**tower, **text, "max_position_embeddings": 32},
        vision_config={**tower, "image_size": 32, "patch_size": 8},
        projection_dim=16,
    )
