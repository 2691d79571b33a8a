"""Learn to draw: a small text-to-image latent diffusion model in diffusers' own layout.

in    lines/miniature/data/book/train, lines/miniature/data/models/{vae, painter, words}; for `groups` also book/groups
      and lines/miniature/data/models/diffusion, to go on from
out   lines/miniature/data/models/diffusion, or diffusion_groups (StableDiffusionPipeline.from_pretrained loads them)
command   python -m stages.miniature.diffusion         cost   45 min on one core
          python -m stages.miniature.diffusion groups         15 min on a GPU: pages with several objects too; the text
          encoder goes on with the UNet, for it has never read of two things. The released weights come from two goes,
          of 3 700 and 10 400 steps, each with its own warm-up and cosine
expected  the scorer finds the asked class in over 90 % of the drawings, after `groups` both of two in over 70 %
          (metrics/miniature.json)
source    Rombach et al. 2022, arXiv 2112.10752; Ho and Salimans 2022, arXiv 2207.12598 (text dropped at 10 %)
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, StableDiffusionPipeline, UNet2DConditionModel
from torch import Tensor, nn
from transformers import CLIPImageProcessor, CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from stages.miniature.apprentice import train, work_folder
from stages.miniature.book import FOLDER, Book
from stages.miniature.painter import OUT as PAINTER
from stages.miniature.vae import OUT as VAE
from stages.miniature.words import LENGTH, denoising, encode_book, pages_of, schedule
from stages.miniature.words import OUT as WORDS
from stages.parts.command import command

OUT = Path("lines/miniature/data/models/diffusion")
OUT_GROUPS = Path("lines/miniature/data/models/diffusion_groups")
STEPS, LR = 4000, 1e-3
GROUP_STEPS, GROUP_BATCH, GROUP_LR = 14_100, 128, 6e-4
GROUP_LENGTH = 40  # tokens of a text that names three objects, and their classes again behind it


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


def longer(encoder: CLIPTextModel, length: int) -> CLIPTextModel:
    """The text encoder for texts of up to `length` tokens: the position of its last token is repeated."""
    state, name = encoder.state_dict(), "embeddings.position_embedding.weight"
    key = next(known for known in state if known.endswith(name))
    known = state[key]
    state[key] = torch.cat([known, known[-1:].expand(length - len(known), -1)]).clone()
    made = CLIPTextModel(CLIPTextConfig(**encoder.config.to_dict() | {"max_position_embeddings": length}))
    positions = [each for each in made.state_dict() if each.endswith("position_ids")]
    made.load_state_dict(state | {each: made.state_dict()[each] for each in positions})
    return made


@command
def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="?", choices=["groups"], help="go on, on pages with several objects too")
    learn_groups() if parser.parse_args(argv).what else learn_singles()


def learn_singles() -> None:
    """From `words` on, on pages with one object."""
    book, vae = Book("train"), AutoencoderKL.from_pretrained(VAE).eval()
    tokenizer, encoder = (
        CLIPTokenizer.from_pretrained(WORDS / "tokenizer"),
        CLIPTextModel.from_pretrained(WORDS / "text_encoder"),
    )
    unet = UNet2DConditionModel.from_pretrained(WORDS / "unet").to(memory_format=torch.channels_last)
    loss = denoising(unet, TextTable(encoder, tokenizer), pages_of(book, encode_book(book, vae)))
    work = work_folder("diffusion", FOLDER / "train", VAE, WORDS)
    train(unet, loss, title="diffusion", steps=STEPS, lr=LR, folder=work, average=0.998)
    save(AutoencoderKL.from_pretrained(PAINTER), encoder, tokenizer, unet, OUT)


def learn_groups() -> None:
    """From the model of single objects on, on as many pages with one object as with several."""
    single, group = Book("train"), Book("groups")
    device = "cuda" if torch.cuda.is_available() else "cpu"
    vae = AutoencoderKL.from_pretrained(OUT / "vae").eval().to(device)
    tokenizer = CLIPTokenizer.from_pretrained(OUT / "tokenizer", model_max_length=GROUP_LENGTH)
    encoder = longer(CLIPTextModel.from_pretrained(OUT / "text_encoder"), GROUP_LENGTH)
    unet = UNet2DConditionModel.from_pretrained(OUT / "unet").to(memory_format=torch.channels_last)

    def speak(captions: list[str]) -> Tensor:
        ids = tokenizer(captions, padding="max_length", max_length=GROUP_LENGTH, truncation=True, return_tensors="pt")
        return encoder(ids.input_ids.to(encoder.device)).last_hidden_state

    draws = [pages_of(book, encode_book(book, vae)) for book in (single, group)]
    work = work_folder("diffusion", FOLDER / "train", FOLDER / "groups", OUT)
    both = nn.ModuleDict({"encoder": encoder, "unet": unet})
    loss = denoising(unet, speak, *draws, batch=GROUP_BATCH)
    options: dict[str, Any] = {"average": 0.998, "device": device}
    train(both, loss, title="diffusion, groups", steps=GROUP_STEPS, lr=GROUP_LR, folder=work, **options)
    save(vae.to("cpu"), encoder, tokenizer, unet, OUT_GROUPS)


def save(
    vae: AutoencoderKL, encoder: CLIPTextModel, tokenizer: CLIPTokenizer, unet: UNet2DConditionModel, folder: Path
) -> None:
    """A whole pipeline in diffusers' layout."""
    StableDiffusionPipeline(
        vae=vae, text_encoder=encoder, tokenizer=tokenizer, unet=unet, scheduler=schedule(), safety_checker=None,
        feature_extractor=CLIPImageProcessor(), requires_safety_checker=False,
    ).save_pretrained(folder)  # fmt: skip


if __name__ == "__main__":
    main()
