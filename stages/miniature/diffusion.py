"""Learn to draw: a small text-to-image latent diffusion model in diffusers' own layout.

in    lines/miniature/data/book/train, lines/miniature/data/models/{vae, painter, words}
out   lines/miniature/data/models/diffusion (loadable by StableDiffusionPipeline.from_pretrained)
command   python -m stages.miniature.diffusion        cost   45 min on one core
expected  the scorer finds the asked class in over 90 % of the drawings (metrics/miniature.json)
source    Rombach et al. 2022, arXiv 2112.10752; Ho and Salimans 2022, arXiv 2207.12598 (text dropped at 10 %)
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch
from diffusers import AutoencoderKL, StableDiffusionPipeline, UNet2DConditionModel
from torch import Tensor
from transformers import CLIPImageProcessor, CLIPTextModel, CLIPTokenizer

from stages.miniature.apprentice import train, work_folder
from stages.miniature.book import FOLDER, Book
from stages.miniature.painter import OUT as PAINTER
from stages.miniature.vae import OUT as VAE
from stages.miniature.words import LENGTH, denoising, encode_book, schedule
from stages.miniature.words import OUT as WORDS
from stages.parts.command import command

OUT = Path("lines/miniature/data/models/diffusion")
STEPS, LR = 4000, 1e-3


class TextTable:
    """The frozen text encoder's hidden states, computed once per distinct text."""

    def __init__(self, encoder: CLIPTextModel, tokenizer: CLIPTokenizer) -> None:
        self.encoder, self.tokenizer = encoder.eval(), tokenizer
        self.known: dict[str, Tensor] = {}

    @torch.no_grad()
    def __call__(self, texts: list[str]) -> Tensor:
        """-> (len(texts), LENGTH, 128)."""
        for text in texts:
            if text not in self.known:
                ids = self.tokenizer(
                    text, padding="max_length", max_length=LENGTH, truncation=True, return_tensors="pt"
                ).input_ids
                self.known[text] = self.encoder(ids).last_hidden_state[0]
        return torch.stack([self.known[t] for t in texts])


@command
def main(argv: Sequence[str] | None = None) -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args(argv)
    book, vae = Book("train"), AutoencoderKL.from_pretrained(VAE).eval()
    tokenizer, encoder = (
        CLIPTokenizer.from_pretrained(WORDS / "tokenizer"),
        CLIPTextModel.from_pretrained(WORDS / "text_encoder"),
    )
    unet = UNet2DConditionModel.from_pretrained(WORDS / "unet").to(memory_format=torch.channels_last)
    loss = denoising(unet, TextTable(encoder, tokenizer), encode_book(book, vae), book)
    train(
        unet,
        loss,
        title="diffusion",
        steps=STEPS,
        lr=LR,
        folder=work_folder("diffusion", FOLDER / "train", VAE, WORDS),
        average=0.998,
    )
    StableDiffusionPipeline(
        vae=AutoencoderKL.from_pretrained(PAINTER), text_encoder=encoder, tokenizer=tokenizer, unet=unet,
        scheduler=schedule(), safety_checker=None,
        feature_extractor=CLIPImageProcessor(), requires_safety_checker=False,
    ).save_pretrained(OUT)  # fmt: skip


if __name__ == "__main__":
    main()
