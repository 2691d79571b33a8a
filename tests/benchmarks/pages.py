"""Generated-like inputs whose true mask is known: held-out pages of the picture book, seen through the diffusion model.

A page goes through the VAE and back, so that it has the look of a drawing while its object stays where the renderer
put it; and its latent, noised to every step of the scheduler, goes through the UNet once per step, so that the
attention maps are summed over the same steps as when an image is drawn.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from stages.generate.sampler import resized
from stages.miniature.book import Book
from stages.parts.recording import unet
from stages.parts.recording.dataset_diffusion import DatasetDiffusion
from stages.parts.recording.ovam import Attribution, word_maps
from stages.parts.recording.recorder import listening

CLASS_TOKEN = 5  # of "a photo of a bus", the start of the text being token 0
BATCH = 16


@dataclass(frozen=True)
class Seen:
    """image (H, W, 3) uint8; attribution (H, W) float32, OVAM's; self_attention (h*w, h*w) and cross_attention (h', w')
    float32, Dataset Diffusion's; truth (H, W) bool."""

    image: NDArray[np.uint8]
    attribution: NDArray[np.float32]
    self_attention: NDArray[np.float32]
    cross_attention: NDArray[np.float32]
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
    texts, words = [f"a photo of a {kind}" for kind in kinds], [(CLASS_TOKEN,)] * len(pages)
    embedding, mask = unet.embed(pipe, texts)
    size = (latents.shape[2], latents.shape[3])
    ovam = Attribution(mask, size, "cond")
    both = DatasetDiffusion(len(pages), size, unet.halvings(pipe.unet))
    own, cross = unet.self_attention(pipe.unet, middle=True), unet.cross_attention(pipe.unet, middle=True)
    taps = ovam.taps(unet.cross_attention(pipe.unet), embedding)
    pipe.scheduler.set_timesteps(steps)
    with listening(taps + both.taps(own, cross, unet.embed_padded(pipe, texts))):
        for t in pipe.scheduler.timesteps:
            pipe.unet(pipe.scheduler.add_noise(latents, noise, t[None]), t, prompts)
    heat = resized(word_maps(ovam.maps(), words), *pixels.shape[2:])
    s, c = both.attention("S").numpy(), both.word_cross(words).numpy()
    return [
        Seen(images[i].permute(1, 2, 0).contiguous().numpy(), heat[i], s[i], c[i], book.masks[k] > 0, kinds[i])
        for i, k in enumerate(pages)
    ]
