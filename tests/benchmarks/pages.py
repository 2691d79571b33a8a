"""Generated-like inputs whose true mask is known: held-out pages of the picture book, seen through the diffusion model.

A page goes through the VAE and back, so that it has the look of a drawing while its object stays where the renderer
put it; and its latent, noised to every step of the scheduler, goes through the UNet once per step, so that the
attention maps are summed over the same steps as when an image is drawn.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from diffusers.models.attention_processor import Attention
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from stages.generate.attribution import cross_attention, embed, record, word_maps
from stages.generate.sampler import resized
from stages.miniature.book import Book

CLASS_TOKEN = 5  # of "a photo of a bus", the start of the text being token 0
BATCH = 16


@dataclass(frozen=True)
class Seen:
    """image (H, W, 3) uint8; attribution (H, W) float32, raw; self_attention (h*w, h*w) float32, row-stochastic,
    the mean over steps, heads and the layers of the largest size; truth (H, W) bool."""

    image: NDArray[np.uint8]
    attribution: NDArray[np.float32]
    self_attention: NDArray[np.float32]
    truth: NDArray[np.bool_]
    kind: str


def picks(book: Book, kinds: Sequence[str], first: int, last: int) -> list[int]:
    """The pages first .. last - 1 that show one of the kinds."""
    return [k for k in range(first, last) if book.pages[k]["kind"] in kinds]


@torch.no_grad()
def seen(pipe: Any, book: Book, pages: Sequence[int], steps: int) -> list[Seen]:
    """The pages as the diffusion model of `pipe` sees them; the noise of page k comes from seed k."""
    found: list[Seen] = []
    for start in tqdm(range(0, len(pages), BATCH), desc="looking at pages", unit="batch"):
        found += _batch(pipe, book, pages[start : start + BATCH], steps)
    return found


def _batch(pipe: Any, book: Book, pages: Sequence[int], steps: int) -> list[Seen]:
    pixels = torch.from_numpy(book.images[list(pages)]).permute(0, 3, 1, 2).float() / 127.5 - 1
    latents = pipe.vae.encode(pixels).latent_dist.mean
    images = pipe.vae.decode(latents).sample.clamp(-1, 1).add(1).mul(127.5).round().byte()
    latents = latents * pipe.vae.config.scaling_factor
    noise = torch.stack([torch.randn(latents.shape[1:], generator=torch.Generator().manual_seed(k)) for k in pages])
    prompts, _ = pipe.encode_prompt([book.pages[k]["caption"] for k in pages], "cpu", 1, False)
    kinds = [book.pages[k]["kind"] for k in pages]
    embedding, mask = embed(pipe.tokenizer, pipe.text_encoder, [f"a photo of a {kind}" for kind in kinds])
    pipe.scheduler.set_timesteps(steps)
    size = (latents.shape[2], latents.shape[3])
    with (
        record(cross_attention(pipe.unet), embedding, mask, size, "cond") as attribution,
        self_attention(pipe.unet, size[0] * size[1]) as probabilities,
    ):
        for t in pipe.scheduler.timesteps:
            pipe.unet(pipe.scheduler.add_noise(latents, noise, t[None]), t, prompts)
    heat = resized(word_maps(attribution.maps(), [(CLASS_TOKEN,)] * len(pages)), *pixels.shape[2:])
    own = (probabilities.total / probabilities.calls).numpy()
    return [
        Seen(images[i].permute(1, 2, 0).contiguous().numpy(), heat[i], own[i], book.masks[k] > 0, kinds[i])
        for i, k in enumerate(pages)
    ]


class Probabilities:
    """The running sum of self-attention probabilities, (B, N, N), and how many calls it is of."""

    total: Tensor
    calls = 0

    def add(self, probabilities: Tensor) -> None:
        self.total = probabilities if self.calls == 0 else self.total + probabilities
        self.calls += 1


@contextmanager
def self_attention(unet: Any, pixels: int) -> Iterator[Probabilities]:
    """Record the self-attention layers that have so many pixels."""
    found = Probabilities()
    layers = [part for name, part in unet.named_modules() if isinstance(part, Attention) and name.endswith(".attn1")]

    def hook(layer: Attention) -> Any:
        def see(module: Any, inputs: tuple[Tensor, ...], query: Tensor) -> None:
            if query.shape[1] == pixels:
                q, k = (x.unflatten(2, (layer.heads, -1)).transpose(1, 2) for x in (query, layer.to_k(inputs[0])))
                found.add((layer.scale * q @ k.transpose(-1, -2)).softmax(-1).mean(1))

        return see

    with ExitStack() as stack:
        for layer in layers:
            stack.callback(layer.to_q.register_forward_hook(hook(layer)).remove)
        yield found
