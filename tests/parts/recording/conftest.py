"""A Stable Diffusion pipeline of random weights, small enough to run in a second, saved to a folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    EulerDiscreteScheduler,
    PNDMScheduler,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

from stages.generate.sampler import Pipeline
from stages.parts.prompts.grammar import Grammar
from stages.parts.recording.sampling import Sampling

WORDS = "a photo of the passenger freight train station city box truck in on at bridge night color grayscale"
LETTERS = "abcdefghijklmnopqrstuvwxyz,-"
SAMPLING = Sampling(steps=2, guidance=5.0, height=64, width=128, branch="cond")
LATENT = (8, 16)
TINY_UNET = {
    "block_out_channels": (8, 16),
    "layers_per_block": 1,
    "down_block_types": ("CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
    "attention_head_dim": (2, 4),
    "sample_size": 8,
}


@pytest.fixture(scope="session")
def tokenizer() -> CLIPTokenizer:
    """WORDS are one token each; any other word falls into letters."""
    vocabulary = [letter + end for letter in LETTERS for end in ("", "</w>")]
    merges: dict[tuple[str, str], None] = {}
    for word in WORDS.split():
        head = word[0]
        for i, letter in enumerate(word[1:], 2):
            tail = letter + ("</w>" if i == len(word) else "")
            merges[head, tail] = None
            head += tail
            vocabulary.append(head)
    vocabulary = [*dict.fromkeys(vocabulary), "<|startoftext|>", "<|endoftext|>"]
    return CLIPTokenizer(
        vocab={token: i for i, token in enumerate(vocabulary)},
        merges=list(merges),
        model_max_length=32,
    )


def text_config(words: CLIPTokenizer, width: int) -> CLIPTextConfig:
    return CLIPTextConfig(
        vocab_size=len(words),
        hidden_size=width,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=32,
        projection_dim=width,
        bos_token_id=words.bos_token_id,
        eos_token_id=words.eos_token_id,
    )


def autoencoder() -> AutoencoderKL:
    return AutoencoderKL(
        block_out_channels=(4, 4, 4, 4),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        norm_num_groups=2,
    )


def pipeline(words: CLIPTokenizer, scheduler: Any, unet: dict[str, Any]) -> Pipeline:
    """A pipeline around a UNet of this shape; its image is 8 times the latent, as in Stable Diffusion."""
    torch.manual_seed(0)
    pipe: Pipeline = StableDiffusionPipeline(
        vae=autoencoder(),
        text_encoder=CLIPTextModel(text_config(words, 16)),
        tokenizer=words,
        unet=UNet2DConditionModel(cross_attention_dim=16, norm_num_groups=4, **unet),
        scheduler=scheduler,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    for part in (pipe.vae, pipe.text_encoder, pipe.unet):
        part.eval()
    return pipe


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory, tokenizer: CLIPTokenizer) -> Path:
    """The folder of a pipeline whose UNet attends at two resolutions and in its middle block."""
    folder = tmp_path_factory.mktemp("model") / "tiny"
    pipeline(tokenizer, DDIMScheduler(steps_offset=1, clip_sample=False), TINY_UNET).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def stable_diffusion(tokenizer: CLIPTokenizer) -> Pipeline:
    """Stable Diffusion 1.x block for block (layers, 8 heads, PNDM without Runge-Kutta), 16 channels wide."""
    scheduler = PNDMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", skip_prk_steps=True, steps_offset=1
    )
    shape = {"block_out_channels": (16,) * 4, "attention_head_dim": 8, "sample_size": 8}
    pipe = pipeline(tokenizer, scheduler, shape)
    pipe.set_progress_bar_config(disable=True)
    return pipe


@pytest.fixture(scope="session")
def stable_diffusion_2(tokenizer: CLIPTokenizer) -> Pipeline:
    """Stable Diffusion 2.1 block for block: more heads per level, linear projections, v-prediction."""
    shape = {
        "block_out_channels": (20, 40, 80, 80),
        "attention_head_dim": (5, 10, 20, 20),
        "use_linear_projection": True,
        "sample_size": 16,
    }
    pipe = pipeline(tokenizer, DDIMScheduler(prediction_type="v_prediction", clip_sample=False), shape)
    pipe.set_progress_bar_config(disable=True)
    return pipe


@pytest.fixture(scope="session")
def stable_diffusion_xl(tokenizer: CLIPTokenizer) -> Pipeline:
    """Stable Diffusion XL block for block: no attention at the first level, 2 and 10 transformer blocks at the
    others, two text encoders."""
    torch.manual_seed(0)
    unet = UNet2DConditionModel(
        sample_size=8,
        block_out_channels=(8, 16, 32),
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        transformer_layers_per_block=(1, 2, 10),
        attention_head_dim=(2, 4, 8),
        cross_attention_dim=16 + 24,
        use_linear_projection=True,
        addition_embed_type="text_time",
        addition_time_embed_dim=8,
        projection_class_embeddings_input_dim=6 * 8 + 24,
        norm_num_groups=4,
    )
    pipe: Pipeline = StableDiffusionXLPipeline(
        vae=autoencoder(),
        text_encoder=CLIPTextModel(text_config(tokenizer, 16)),
        text_encoder_2=CLIPTextModelWithProjection(text_config(tokenizer, 24)),
        tokenizer=tokenizer,
        tokenizer_2=tokenizer,
        unet=unet,
        scheduler=EulerDiscreteScheduler(),
        add_watermarker=False,
    )
    for part in (pipe.vae, pipe.text_encoder, pipe.text_encoder_2, pipe.unet):
        part.eval()
    pipe.set_progress_bar_config(disable=True)
    return pipe


@pytest.fixture
def grammar() -> Grammar:
    return Grammar(
        name="train",
        subtypes=("passenger train", "freight train"),
        places=("at the train station", "on a bridge", "at night"),
        template="a photo of a {subtype} {place}{style}",
        style=", color",
        negative="grayscale",
        word="train",
        attribution="{word} {place}{style}",
    )


def sampled(pipe: Pipeline, prompts: list[str], **changes: Any) -> np.ndarray:
    generators = [torch.Generator().manual_seed(seed) for seed in range(len(prompts))]
    options = {"num_inference_steps": 2, "guidance_scale": 5.0, "height": 64, "width": 128, "output_type": "np"}
    return pipe(prompts, generator=generators, **(options | changes)).images
