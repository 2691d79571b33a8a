"""Stable Diffusion 1, 2, XL, and few-step kin: the layers of each are found, and its maps leave the image alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import LatentConsistencyModelPipeline, LCMScheduler
from transformers import CLIPTokenizer

from stages.generate.sampler import Pipeline, images, load, sample_block
from stages.parts.pretrained import diffusion as checkpoint
from stages.parts.prompts.grammar import Grammar
from stages.parts.prompts.prompt import draw
from stages.parts.recording.ovam import record
from stages.parts.recording.sampling import Switches
from stages.parts.recording.unet import cross_attention, embed, embed_padded, self_attention
from tests.parts.recording.conftest import LATENT, SAMPLING, pipeline, sampled


@pytest.mark.parametrize("name", ["stable_diffusion", "stable_diffusion_2", "stable_diffusion_xl"])
def test_every_cross_attention_layer_of_the_config_is_found(name: str, request: pytest.FixtureRequest) -> None:
    """Counted from the config: transformer blocks per level, one more residual block going up than down."""
    pipe = request.getfixturevalue(name)
    config = pipe.unet.config
    levels = len(config.block_out_channels)
    depth = config.transformer_layers_per_block
    depth = [depth] * levels if isinstance(depth, int) else list(depth)
    going_down = zip(depth, config.down_block_types, strict=True)
    down = sum(config.layers_per_block * d for d, kind in going_down if "Cross" in kind)
    going_up = zip(depth[::-1], config.up_block_types, strict=True)
    up = sum((config.layers_per_block + 1) * d for d, kind in going_up if "Cross" in kind)
    assert {"stable_diffusion_xl": 60}.get(name, 15) == down + up
    assert len(cross_attention(pipe.unet)) == len(self_attention(pipe.unet)) == down + up
    assert len(cross_attention(pipe.unet, middle=True)) == down + up + depth[-1]


@pytest.mark.parametrize("name", ["stable_diffusion", "stable_diffusion_2", "stable_diffusion_xl"])
@pytest.mark.parametrize("guidance", [5.0, 1.0])
def test_maps_of_any_unet_add_up_and_leave_the_image_alone(
    name: str, guidance: float, request: pytest.FixtureRequest
) -> None:
    pipe = request.getfixturevalue(name)
    layers = cross_attention(pipe.unet)
    embedding, mask = embed(pipe, ["train at night", "truck"])
    prompts = ["a photo of a train", "a truck at night"]
    plain = sampled(pipe, prompts, guidance_scale=guidance)
    with record(layers, embedding, mask, LATENT, "cond") as attribution:
        images = sampled(pipe, prompts, guidance_scale=guidance)
    assert np.array_equal(images, plain)
    maps = attribution.maps()
    calls = len(pipe.scheduler.timesteps)
    expected = calls * sum(layer.heads for layer in layers.values())
    torch.testing.assert_close(maps.sum(1), torch.full(maps.shape[::2][:1] + maps.shape[2:], float(expected)))


def test_a_few_step_model_that_has_learned_its_guidance_has_one_half(
    stable_diffusion: Pipeline, tokenizer: CLIPTokenizer, grammar: Grammar, tmp_path: Path
) -> None:
    """A latent consistency model: guidance is an input of its UNet, and there is no negative prompt."""
    taught = {"time_cond_proj_dim": 8, "block_out_channels": (16,) * 4, "attention_head_dim": 8, "sample_size": 8}
    base = pipeline(tokenizer, LCMScheduler(), taught)
    parts = {name: part for name, part in base.components.items() if name != "image_encoder"}
    LatentConsistencyModelPipeline(**parts, requires_safety_checker=False).save_pretrained(tmp_path / "lcm")
    assert not checkpoint.guided(tmp_path / "lcm", 8.0)
    checkpoint.check(tmp_path / "lcm")
    pipe = load(tmp_path / "lcm", "float32", device="cpu")
    made = sample_block(pipe, [draw(grammar, 0), draw(grammar, 1)], [1, 2], "night", replace(SAMPLING, guidance=8.0))
    assert [picture.rejected for picture in made] == ["", ""]
    layers = cross_attention(pipe.unet)
    with record(layers, *embed(pipe, ["train"]), LATENT, "cond") as attribution:
        sampled(pipe, ["a train"], guidance_scale=8.0)
    expected = 2.0 * sum(layer.heads for layer in layers.values())
    torch.testing.assert_close(attribution.maps().sum(1), torch.full((1, *LATENT), expected))


@pytest.mark.slow
def test_a_compiled_model_gives_the_same_maps_text_after_text() -> None:
    """The hooks are seen though the blocks were compiled before them; the image to a few units of the last place."""
    folder = Path("models/miniature/diffusion")
    plain, compiled = load(folder, "float32"), load(folder, "float32", Switches(compile=True))
    for text, seed in (("train", 0), ("bus at night", 1), ("truck", 2)):
        found = []
        for pipe in (plain, compiled):
            with record(cross_attention(pipe.unet), *embed(pipe, [text]), (16, 16), "cond") as attribution:
                drawn = images(pipe, [f"a {text}"], [seed], "", replace(SAMPLING, width=64))
            found.append((drawn, attribution.maps()))
        np.testing.assert_allclose(found[0][0], found[1][0], atol=1e-4)
        torch.testing.assert_close(found[0][1], found[1][1], rtol=1e-4, atol=1e-5)


def test_sdxl_reads_a_text_by_both_of_its_encoders(stable_diffusion_xl: Pipeline) -> None:
    """As the pipeline itself encodes a prompt, in the tokens that are not padding."""
    pipe = stable_diffusion_xl
    embedding, mask = embed(pipe, ["train at night", "truck"])
    own = embed_padded(pipe, ["train at night", "truck"])
    assert (embedding.shape[-1], mask.sum(1).tolist()) == (40, [5, 3])
    for row, length in enumerate(mask.sum(1)):
        torch.testing.assert_close(embedding[row, :length], own[row, :length])
