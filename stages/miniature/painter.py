"""Learn to paint crisply: the decoder of the VAE goes on, against a discriminator; the encoder stays as it is.

in    lines/miniature/data/book/train, lines/miniature/data/models/vae
out   lines/miniature/data/models/painter (AutoencoderKL with the same latents)
command   python -m stages.miniature.painter        cost   25 min on one core
expected  edges as steep as the book's: mean gradient on objects within 10 % (metrics/miniature.json)
source    Rombach et al. 2022, arXiv 2112.10752, section 3.1 and its equation 25: patch discriminator, adaptive weight;
          Miyato et al. 2018, arXiv 1802.05957 (spectral norm, hinge loss)

Distances in colour alone leave wheels and panes blurred, and a blurred cutout in a crisp street is told by its blur.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm

from stages.miniature.apprentice import Loss, train, work_folder
from stages.miniature.book import FOLDER, Book
from stages.miniature.vae import OUT as VAE
from stages.miniature.vae import to_pixels
from stages.parts.command import command

OUT = Path("lines/miniature/data/models/painter")
STEPS, BATCH, LR = 4500, 16, 1e-3
ADVERSARY = 0.5  # of the discriminator's gradient at the last layer, relative to the distances' gradient
START = 200  # steps that the discriminator learns alone


def discriminator() -> nn.Sequential:
    """(B, 3, 64, 64) -> (B, 1, 15, 15): one opinion per patch of 22 pixels."""
    layers: list[nn.Module] = []
    for wide, out, stride in ((3, 32, 2), (32, 64, 2), (64, 96, 1)):
        layers += [spectral_norm(nn.Conv2d(wide, out, 4, stride, 1)), nn.LeakyReLU(0.2)]
    return nn.Sequential(*layers, spectral_norm(nn.Conv2d(96, 1, 3, 1, 1)))


def adversarial(model: AutoencoderKL, judge: nn.Sequential, book: Book) -> Loss:
    """The sum of both players' losses; neither's gradient reaches the other's weights, so one optimiser does."""
    last = model.decoder.conv_out.weight

    def loss(step: int, rng: np.random.Generator, noise: torch.Generator) -> Tensor:
        real = to_pixels(book.images[rng.integers(len(book), size=BATCH)])
        real = real.contiguous(memory_format=torch.channels_last)
        with torch.no_grad():
            latent = model.encode(real).latent_dist.mean
        fake = model.decode(latent).sample
        distance = F.l1_loss(fake, real) + F.mse_loss(fake, real)
        hinge = F.relu(1 - judge(real)).mean() + F.relu(1 + judge(fake.detach())).mean()
        if step < START:
            return distance + hinge
        frozen = {name: p.detach() for name, p in judge.named_parameters()}
        fooled = -functional_call(judge, frozen, (fake,)).mean()
        return distance + adaptive(distance, fooled, last) * fooled + hinge

    return loss


def adaptive(distance: Tensor, fooled: Tensor, last: Tensor) -> Tensor:
    """ADVERSARY times the ratio of the two losses' gradient norms at the decoder's last layer (LDM, eq. 25)."""
    norms = [torch.autograd.grad(each, last, retain_graph=True)[0].norm() for each in (distance, fooled)]
    return ADVERSARY * (norms[0] / (norms[1] + 1e-6)).clamp(max=1e4)


@command
def main(argv: Sequence[str] | None = None) -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args(argv)
    book = Book("train")
    model = AutoencoderKL.from_pretrained(VAE).to(memory_format=torch.channels_last)
    model.encoder.requires_grad_(False)
    model.quant_conv.requires_grad_(False)
    torch.manual_seed(0)
    judge = discriminator()
    train(
        nn.ModuleDict({"model": model, "judge": judge}),
        adversarial(model, judge, book),
        title="painter",
        steps=STEPS,
        lr=LR,
        folder=work_folder("painter", FOLDER / "train", VAE),
        average=0.995,
    )
    model.save_pretrained(OUT)


if __name__ == "__main__":
    main()
