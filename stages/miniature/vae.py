"""Learn to fold a 64 x 64 picture into a 16 x 16 x 8 latent: a small AutoencoderKL in diffusers' layout.

in    lines/miniature/data/book/train
out   lines/miniature/data/models/vae
command   python -m stages.miniature.vae        cost   16 min on one core
expected  held-out PSNR 28.8 dB, and 29.6 with the painter's decoder after it (metrics/miniature.json)
source    Rombach et al. 2022, arXiv 2112.10752, section 3.1 (KL-regularised, no discriminator: L1 and L2 only)
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL
from torch import Tensor
from torch.nn import functional as F

from stages.miniature.apprentice import train, work_folder
from stages.miniature.book import FOLDER, Book
from stages.parts.command import command

OUT = Path("lines/miniature/data/models/vae")
STEPS, BATCH, LR = 2400, 16, 2e-3
KL = 1e-7


def build() -> AutoencoderKL:
    """Factor 4, eight latent channels: with four, wheels and panes blur, and what is pasted is told by its blur."""
    torch.manual_seed(0)
    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        block_out_channels=(24, 48, 64),
        layers_per_block=1,
        latent_channels=8,
        norm_num_groups=8,
        sample_size=64,
        mid_block_add_attention=False,
    )


def to_pixels(images: np.ndarray) -> Tensor:
    """(N, H, W, 3) uint8 -> (N, 3, H, W) float32 in -1..1."""
    return torch.from_numpy(images).permute(0, 3, 1, 2).float() / 127.5 - 1


@torch.no_grad()
def latent_scale(model: AutoencoderKL, images: np.ndarray) -> float:
    """1 / standard deviation of the latents, so that the diffusion model sees unit variance."""
    latents = torch.cat(
        [model.encode(to_pixels(images[k : k + 50])).latent_dist.mean for k in range(0, len(images), 50)]
    )
    return float(1 / latents.std())


@command
def main(argv: Sequence[str] | None = None) -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args(argv)
    book, model = Book("train"), build().to(memory_format=torch.channels_last)

    def loss(step: int, rng: np.random.Generator, noise: torch.Generator) -> Tensor:
        pixels = to_pixels(book.images[rng.integers(len(book), size=BATCH)]).contiguous(
            memory_format=torch.channels_last
        )
        posterior = model.encode(pixels).latent_dist
        recon = model.decode(posterior.sample(generator=noise)).sample
        return F.l1_loss(recon, pixels) + F.mse_loss(recon, pixels) + KL * posterior.kl().mean()

    train(model, loss, title="vae", steps=STEPS, lr=LR, folder=work_folder("vae", FOLDER / "train"), average=0.995)
    model.register_to_config(scaling_factor=latent_scale(model, book.images[:1000]))
    model.save_pretrained(OUT)


if __name__ == "__main__":
    main()
