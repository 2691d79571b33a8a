"""What recording attention costs: time and peak memory of sampling with it over sampling without.

in       nothing: a UNet of Stable Diffusion 1.5's shape with random weights, 512 x 512, one image, guidance
out      a table on stdout: CPU seconds of sampling and peak memory of each way, and their ratios to the plain pipeline
command  python -m tests.benchmarks.attribution_cost [--rounds 2] [--steps 2] [--device cuda --dtype float16]
cost     about two minutes per way and round on one CPU core, 6 GB
expect   OVAM as recorded here: time at most 1.10 times, peak memory at most 1.05 times the plain pipeline's

The ways take turns, each in a process of its own, since a peak cannot be taken back. The image is left as a latent: a
VAE, the same for all, would only dilute the ratios. `daam` is the published way of recording, written anew from its
description: explicit softmax over all 77 tokens for both halves in the place of the fused attention, and per layer the
sum of the conditional half's maps, every head and token apart.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from contextlib import ExitStack
from typing import Any

import torch
from diffusers import AutoencoderKL, PNDMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from stages.parts.recording.ovam import record
from stages.parts.recording.unet import cross_attention, embed

WAYS = ("plain", "ovam", "daam")
TEXT = "a photo of a train"
MEGABYTE = 2**20


def pipeline(device: str, dtype: torch.dtype) -> Any:
    """Stable Diffusion 1.5 but for its weights, its vocabulary and its VAE, which is not used."""
    torch.manual_seed(0)
    letters = [letter + end for letter in "abcdefghijklmnopqrstuvwxyz" for end in ("", "</w>")]
    vocabulary = {token: number for number, token in enumerate([*letters, "<|startoftext|>", "<|endoftext|>"])}
    tokenizer = CLIPTokenizer(vocab=vocabulary, merges=[], model_max_length=77)
    ends = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id}
    text = CLIPTextConfig(hidden_size=768, intermediate_size=64, num_hidden_layers=1, num_attention_heads=12, **ends)
    pipe: Any = StableDiffusionPipeline(
        vae=AutoencoderKL(block_out_channels=(4,) * 4, norm_num_groups=2, down_block_types=("DownEncoderBlock2D",) * 4,
                          up_block_types=("UpDecoderBlock2D",) * 4),
        text_encoder=CLIPTextModel(text), tokenizer=tokenizer,
        unet=UNet2DConditionModel(sample_size=64, cross_attention_dim=768),  # the defaults are 1.5's shape
        scheduler=PNDMScheduler(skip_prk_steps=True, steps_offset=1),
        safety_checker=None, feature_extractor=None, requires_safety_checker=False,
    )  # fmt: skip
    pipe.set_progress_bar_config(disable=True)
    return pipe.to(device, dtype)


class DaamProcessor:
    """Cross-attention the explicit way, with the sum of the conditional half's maps: (heads, 77, pixels)."""

    def __init__(self) -> None:
        self.total: Any = 0

    def __call__(self, attn: Any, hidden_states: Any, encoder_hidden_states: Any = None, **unused: Any) -> Any:
        query, key, value = (
            attn.head_to_batch_dim(tokens)
            for tokens in (
                attn.to_q(hidden_states), attn.to_k(encoder_hidden_states), attn.to_v(encoder_hidden_states)
            )
        )  # fmt: skip
        shares = attn.get_attention_scores(query, key)
        self.total = self.total + shares[len(shares) // 2 :].transpose(1, 2)
        return attn.to_out[1](attn.to_out[0](attn.batch_to_head_dim(shares @ value)))


def measure(way: str, steps: int, device: str, dtype: str) -> dict[str, float]:
    """CPU and wall seconds of sampling one image, and peak memory in MB: of the process, or of the GPU."""
    pipe = pipeline(device, getattr(torch, dtype))
    layers = cross_attention(pipe.unet)
    sample(pipe, 1)  # warm-up: allocators, kernels
    with ExitStack() as stack:
        if way == "ovam":
            embedding, mask = embed(pipe, [TEXT])
            attribution = stack.enter_context(record(layers, embedding, mask, (64, 64), "cond"))
        if way == "daam":
            own = {name: DaamProcessor() for name in (f"{name}.processor" for name in layers)}
            pipe.unet.set_attn_processor(pipe.unet.attn_processors | own)
        wall, cpu = time.perf_counter(), time.process_time()
        sample(pipe, steps)
        if way == "ovam":
            attribution.maps().cpu()
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    if device == "cuda":
        peak = torch.cuda.max_memory_allocated() / MEGABYTE
    return {"wall": wall, "cpu": cpu, "peak": peak}


def sample(pipe: Any, steps: int) -> None:
    generator = torch.Generator().manual_seed(0)
    pipe(TEXT, num_inference_steps=steps, guidance_scale=7.5, generator=generator, output_type="latent")
    if pipe.device.type == "cuda":
        torch.cuda.synchronize()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--steps", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--way", choices=WAYS, help="measure this way alone, print JSON")
    options = parser.parse_args()
    if options.way:
        print(json.dumps(measure(options.way, options.steps, options.device, options.dtype)))
        return
    found: dict[str, list[dict[str, float]]] = {way: [] for way in WAYS}
    for number in range(options.rounds):
        for way in WAYS:
            own = ["--way", way, "--steps", str(options.steps), "--device", options.device, "--dtype", options.dtype]
            done = subprocess.run(
                [sys.executable, "-m", "tests.benchmarks.attribution_cost", *own], capture_output=True, text=True
            )
            if done.returncode:
                raise SystemExit(f"{way} failed:\n{done.stderr}")
            found[way].append(json.loads(done.stdout.splitlines()[-1]))
            print(f"round {number + 1}, {way}: {found[way][-1]}", flush=True)
    for what, of in (("cpu", min), ("wall", min), ("wall", statistics.median), ("peak", min)):
        plain = of(row[what] for row in found["plain"])
        ratios = ", ".join(f"{way} {of(row[what] for row in found[way]) / plain:.3f}" for way in WAYS[1:])
        print(f"{what} ({of.__name__}): plain {plain:.1f}; ratios to it: {ratios}")


if __name__ == "__main__":
    main()
