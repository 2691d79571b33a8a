"""The recorder on a transformer with joint attention: Stable Diffusion 3 at a tiny size."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import FlowMatchEulerDiscreteScheduler, SD3Transformer2DModel, StableDiffusion3Pipeline
from torch import Tensor
from transformers import CLIPTextModelWithProjection, CLIPTokenizer

from stages.generate.sampler import Pipeline, sample_block
from stages.parts.prompts.grammar import Grammar
from stages.parts.prompts.prompt import draw, subject_tokens
from stages.parts.recording.joint import grid, joint_attention
from stages.parts.recording.methods import recording
from stages.parts.recording.recorder import listening
from stages.parts.recording.sampling import Sampling
from tests.parts.recording.conftest import autoencoder, text_config

SAMPLING = Sampling(steps=2, guidance=5.0, height=64, width=128, branch="cond", attribution="daam")


@pytest.fixture(scope="module", params=[None, "rms_norm"])
def pipe(request: pytest.FixtureRequest, tokenizer: CLIPTokenizer) -> Pipeline:
    """Three blocks, the last without a text stream, as in Stable Diffusion 3; with the query norm of 3.5."""
    torch.manual_seed(0)
    transformer = SD3Transformer2DModel(
        sample_size=16, patch_size=2, in_channels=4, out_channels=4, num_layers=3, attention_head_dim=8,
        num_attention_heads=2, joint_attention_dim=40, caption_projection_dim=16, pooled_projection_dim=40,
        pos_embed_max_size=16, qk_norm=request.param, dual_attention_layers=(0,) if request.param else (),
    )  # fmt: skip
    made: Pipeline = StableDiffusion3Pipeline(
        transformer=transformer,
        scheduler=FlowMatchEulerDiscreteScheduler(),
        vae=autoencoder(),
        text_encoder=CLIPTextModelWithProjection(text_config(tokenizer, 16)),
        tokenizer=tokenizer,
        text_encoder_2=CLIPTextModelWithProjection(text_config(tokenizer, 24)),
        tokenizer_2=tokenizer,
        text_encoder_3=None,
        tokenizer_3=None,
    )
    for part in (made.vae, made.text_encoder, made.text_encoder_2, made.transformer):
        part.eval()
    made.vae.register_to_config(shift_factor=0.0)
    made.set_progress_bar_config(disable=True)
    return made


@contextmanager
def stored(pipe: Pipeline) -> Iterator[list[tuple[Any, Tensor, Tensor]]]:
    """(layer, pixels, text) that each joint attention layer was given at every call."""
    calls: list[tuple[Any, Tensor, Tensor]] = []

    def keep(layer: Any, inputs: tuple, kwargs: dict) -> None:
        calls.append((layer, kwargs["hidden_states"].clone(), kwargs["encoder_hidden_states"].clone()))

    blocks = pipe.transformer.transformer_blocks
    handles = [block.attn.register_forward_pre_hook(keep, with_kwargs=True) for block in blocks]
    yield calls
    for handle in handles:
        handle.remove()


def test_every_joint_layer_is_found_and_those_of_pixels_alone_are_not(pipe: Pipeline) -> None:
    assert sorted(joint_attention(pipe.transformer)) == [f"transformer_blocks.{k}.attn" for k in range(3)]
    assert grid(pipe, 64, 128) == (4, 8)


@torch.no_grad()
def test_maps_equal_the_formula_from_the_hidden_states(pipe: Pipeline, grammar: Grammar) -> None:
    """Softmax over the text of the pixels' queries; all layers have one size, so nothing is resized."""
    prompts = [draw(grammar, seed) for seed in (0, 1)]
    recorded = recording(pipe, prompts, SAMPLING)
    generators = [torch.Generator().manual_seed(seed) for seed in (0, 1)]
    with stored(pipe) as calls, listening(recorded.taps):
        pipe([prompt.prompt for prompt in prompts], generator=generators, num_inference_steps=2, guidance_scale=5.0,
             height=64, width=128, output_type="latent")  # fmt: skip
    for row, prompt in enumerate(prompts):
        tokens = list(subject_tokens(pipe.tokenizer, prompt))
        total, heads = torch.zeros(32, dtype=torch.float64), 0
        for layer, pixels, text in calls:
            query = layer.to_q(pixels[2 + row]).unflatten(-1, (2, 8)).transpose(0, 1)
            key = layer.add_k_proj(text[2 + row]).unflatten(-1, (2, 8)).transpose(0, 1)
            query, key = (layer.norm_q or torch.nn.Identity())(query), (layer.norm_added_k or torch.nn.Identity())(key)
            shares = (query.double() @ key.double().transpose(1, 2) / 8**0.5).softmax(-1)
            total, heads = total + shares[:, :, tokens].mean(2).sum(0), heads + 2
        expected = total.reshape(4, 8) / (heads / 2)  # heads over layers, summed over the two calls
        torch.testing.assert_close(recorded.maps()[row].double(), expected, rtol=1e-5, atol=0)


def test_the_image_is_bit_identical_to_an_unrecorded_one(pipe: Pipeline, grammar: Grammar) -> None:
    prompt = draw(grammar, 0)
    made = sample_block(pipe, [prompt], [5], "grayscale", SAMPLING)[0]
    generators = [torch.Generator().manual_seed(5)]
    plain = pipe([prompt.prompt], negative_prompt=["grayscale"], generator=generators, num_inference_steps=2,
                 guidance_scale=5.0, height=64, width=128, output_type="np").images[0]  # fmt: skip
    assert np.array_equal(made.image, (plain * 255).round().astype(np.uint8))
    assert (made.rejected, made.attribution.shape) == ("", (64, 128))
