"""What recording the maps of all class words costs at full size: memory, time, and bytes on disk.

in       nothing: a UNet of Stable Diffusion 2.1 base's shape with random weights, 512 x 512, one picture, guidance
out      CPU seconds and peak memory with and without recording, their ratio, the bytes of a picture's maps, and a
         forecast for 40 000 pictures
command  python -m tests.benchmarks.class_maps [--steps 2] [--words 3] [--pictures 40000]
cost     about three minutes on one CPU core, 6 GB
expect   peak memory at most 1.10 times the plain pipeline's, at most 200 kB a picture

The two ways run in processes of their own, since a peak cannot be taken back. The image is left as a latent: a VAE, the
same for both, would only dilute the ratio. What a JPEG of 512 x 512 takes (quality 75) is taken as 60 kB.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from typing import Any

import torch
from diffusers import AutoencoderKL, PNDMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from stages.parts.recording import unet
from stages.parts.recording.class_maps import ClassMaps, word_maps
from stages.parts.recording.recorder import listening
from stages.parts.store.samples import npy_bytes

WAYS = ("plain", "recorded")
POWERS = (0, 1, 2, 4)
JPEG, MEGABYTE = 60_000, 2**20


def pipeline() -> Any:
    """Stable Diffusion 2.1 base but for its weights, its vocabulary and its VAE, which is not used."""
    torch.manual_seed(0)
    letters = [letter + end for letter in "abcdefghijklmnopqrstuvwxyz" for end in ("", "</w>")]
    vocabulary = {token: number for number, token in enumerate([*letters, "<|startoftext|>", "<|endoftext|>"])}
    tokenizer = CLIPTokenizer(vocab=vocabulary, merges=[], model_max_length=77)
    ends = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id}
    text = CLIPTextConfig(hidden_size=1024, intermediate_size=64, num_hidden_layers=1, num_attention_heads=16, **ends)
    pipe: Any = StableDiffusionPipeline(
        vae=AutoencoderKL(block_out_channels=(4,) * 4, norm_num_groups=2, down_block_types=("DownEncoderBlock2D",) * 4,
                          up_block_types=("UpDecoderBlock2D",) * 4),
        text_encoder=CLIPTextModel(text), tokenizer=tokenizer,
        unet=UNet2DConditionModel(sample_size=64, cross_attention_dim=1024, attention_head_dim=(5, 10, 20, 20),
                                  use_linear_projection=True),
        scheduler=PNDMScheduler(skip_prk_steps=True, steps_offset=1),
        safety_checker=None, feature_extractor=None, requires_safety_checker=False,
    )  # fmt: skip
    pipe.set_progress_bar_config(disable=True)
    return pipe


def measure(way: str, steps: int, words: int) -> dict[str, float]:
    """CPU seconds of drawing one picture (and of making its maps), peak memory in MB, bytes of the maps."""
    pipe = pipeline()
    start, stored = time.process_time(), 0
    how = {"num_inference_steps": steps, "output_type": "latent", "generator": torch.Generator().manual_seed(0)}
    if way == "plain":
        pipe("a b c", **how)
    else:
        recorded = ClassMaps(1, (64, 64), unet.halvings(pipe.unet))
        layers = unet.self_attention(pipe.unet, middle=True), unet.cross_attention(pipe.unet, middle=True)
        with listening(recorded.taps(*layers, unet.embed_padded(pipe, ["a b c"]))):
            pipe("a b c", **how)
        (maps,) = word_maps(recorded, [[(k + 1,) for k in range(words)]], POWERS)
        stored = len(npy_bytes(maps.maps.numpy()))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"seconds": time.process_time() - start, "peak": peak, "bytes": stored}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=2)
    parser.add_argument("--words", type=int, default=3)
    parser.add_argument("--pictures", type=int, default=40_000)
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.way:
        print(json.dumps(measure(args.way, args.steps, args.words)))
        return
    found = {}
    for way in WAYS:
        command = [sys.executable, "-m", "tests.benchmarks.class_maps", "--way", way]
        command += ["--steps", str(args.steps), "--words", str(args.words)]
        found[way] = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
        print(f"{way:9} {found[way]['seconds']:7.1f} CPU s   peak {found[way]['peak']:7.0f} MB", flush=True)
    plain, recorded = (found[way] for way in WAYS)
    size = recorded["bytes"] + JPEG
    print(f"ratio     {recorded['seconds'] / plain['seconds']:7.3f}        {recorded['peak'] / plain['peak']:12.3f}")
    print(f"maps of {args.words} words, tau {POWERS}: {recorded['bytes'] / 1000:.1f} kB; with JPEG {size / 1e3:.1f} kB")
    hours = recorded["seconds"] / (args.steps + 1) * 101 * args.pictures / 3600
    print(f"{args.pictures} pictures of 100 steps: {size * args.pictures / 1e9:.1f} GB, {hours:.0f} hours of this core")


if __name__ == "__main__":
    main()
