"""Learn what words mean by drawing: a tokenizer, and a text encoder trained together with the first of the UNet.

in    lines/miniature/data/book/train, lines/miniature/data/models/vae
out   lines/miniature/data/models/words: tokenizer, text_encoder (then frozen), unet (`diffusion` goes on with it)
command   python -m stages.miniature.words        cost   15 min on one core
expected  `diffusion` goes on from here to drawings that the scorer knows, and to maps that lie on the object
source    Rombach et al. 2022, arXiv 2112.10752, section 3.3: the text encoder is optimised jointly with the UNet

A text encoder that was trained by contrast alone (CLIP) was tried first: it packs the whole caption into the last
token, and the small UNet reads everything there, so that no word's attention lies on its object.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from tokenizers import Regex, Tokenizer
from tokenizers.models import BPE
from tokenizers.normalizers import Lowercase
from tokenizers.pre_tokenizers import Split
from tokenizers.trainers import BpeTrainer
from torch import Tensor, nn
from tqdm import tqdm
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from stages.miniature.apprentice import Loss, train, work_folder
from stages.miniature.book import FOLDER, Book
from stages.miniature.vae import OUT as VAE
from stages.miniature.vae import to_pixels
from stages.parts.command import command

OUT = Path("lines/miniature/data/models/words")
STEPS, BATCH, LR = 1200, 32, 1e-3
DROP = 0.10  # share of texts replaced by "", for classifier-free guidance
LENGTH = 20  # tokens of a text, start and end included: the longest caption has 16
MORE_WORDS = [
    "artistic painting of an image, street, road with trees and sky"
]  # that prompts may want beyond the book's

Speak = Callable[[list[str]], Tensor]
Draw = Callable[[np.random.Generator, int], tuple[Tensor, list[str]]]  # so many latents and a caption of each


def tokenizer(folder: Path, texts: Iterable[str]) -> CLIPTokenizer:
    """A byte-pair tokenizer of CLIP's own kind, learned until every word of `texts` is one token."""
    bpe = Tokenizer(BPE(unk_token="<|endoftext|>", end_of_word_suffix="</w>", continuing_subword_prefix=""))
    bpe.normalizer = Lowercase()
    bpe.pre_tokenizer = Split(Regex(r"\p{L}+|\p{N}|[^\s\p{L}\p{N}]+"), "removed", invert=True)
    printable = [chr(c) for c in range(33, 127)]
    alphabet = printable + [c + "</w>" for c in printable]
    trainer = BpeTrainer(
        vocab_size=4000,
        show_progress=False,
        initial_alphabet=printable,
        end_of_word_suffix="</w>",
        special_tokens=["<|startoftext|>", "<|endoftext|>", *alphabet],
    )
    bpe.train_from_iterator(texts, trainer)
    learned = json.loads(bpe.to_str())["model"]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.json").write_text(json.dumps(learned["vocab"]))
    (folder / "merges.txt").write_text(
        "#version: 0.2\n" + "\n".join(" ".join(pair) for pair in learned["merges"]) + "\n"
    )
    return CLIPTokenizer(
        str(folder / "vocab.json"), str(folder / "merges.txt"), model_max_length=LENGTH, pad_token="<|endoftext|>"
    )


def text_encoder(words: CLIPTokenizer) -> CLIPTextModel:
    """CLIP's text transformer at width 128 with two layers."""
    ends = {"bos_token_id": words.bos_token_id, "eos_token_id": words.eos_token_id, "pad_token_id": words.pad_token_id}
    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(words),
            hidden_size=128,
            intermediate_size=512,
            projection_dim=64,
            num_hidden_layers=2,
            num_attention_heads=4,
            max_position_embeddings=LENGTH,
            **ends,
        )
    )


def unet() -> UNet2DConditionModel:
    """Two resolutions (16, 8), self- and cross-attention at both and in the middle, 32-wide heads: 4.3 M parameters."""
    return UNet2DConditionModel(
        sample_size=16,
        in_channels=8,
        out_channels=8,
        block_out_channels=(64, 128),
        layers_per_block=1,
        cross_attention_dim=128,
        down_block_types=("CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
        attention_head_dim=(2, 4),
        norm_num_groups=16,
    )


def schedule() -> DDIMScheduler:
    """Stable Diffusion's own: 1 000 steps, scaled-linear betas."""
    return DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
    )


@torch.no_grad()
def encode_book(book: Book, vae: AutoencoderKL, count: int | None = None) -> Tensor:
    """The first `count` pages, or all N, as scaled latents, and their mirror images behind them: (2 N, 8, 16, 16)."""
    halves, count = [], count or len(book)
    for mirrored in (False, True):
        for k in tqdm(range(0, count, 100), desc="folding the book", unit="batch", mininterval=5):
            pixels = to_pixels(book.images[k : min(k + 100, count)]).to(vae.device)
            halves.append(
                vae.encode(pixels.flip(-1) if mirrored else pixels).latent_dist.mean * vae.config.scaling_factor
            )
    return torch.cat(halves)


def pages_of(book: Book, latents: Tensor) -> Draw:
    """Random pages among those whose latents, as of encode_book, are given."""

    def draw(rng: np.random.Generator, count: int) -> tuple[Tensor, list[str]]:
        picks = rng.integers(len(latents), size=count)
        return latents[torch.from_numpy(picks).to(latents.device)], book.captions(picks % (len(latents) // 2), rng)

    return draw


def denoising(model: UNet2DConditionModel, speak: Speak, *draws: Draw, batch: int = BATCH) -> Loss:
    """The loss of Ho et al. 2020, eq. 14, on batches with as many pages of each draw: mean squared error of the guessed
    noise, at random steps, on random pages.

    Weighted by 1 / sqrt(1 + SNR) (Choi et al. 2022, arXiv 2204.00227, eq. 8 with k = 1 and gamma = 0.5): the nearly
    clean steps, where the noise can hardly be told from a lacquer's grain, would take most of the gradient otherwise.
    """
    noise_schedule = schedule()
    weight = (1 - noise_schedule.alphas_cumprod).sqrt()  # 1 + SNR = 1 / (1 - alpha)

    def loss(step: int, rng: np.random.Generator, noise: torch.Generator) -> Tensor:
        drawn = [draw(rng, batch // len(draws)) for draw in draws]
        captions = ["" if rng.random() < DROP else c for _, said in drawn for c in said]
        clean = torch.cat([latents for latents, _ in drawn]).contiguous(memory_format=torch.channels_last)
        eps = torch.randn(clean.shape, generator=noise).to(clean.device)
        t = torch.randint(0, 1000, (len(clean),), generator=noise).to(clean.device)
        noisy = noise_schedule.add_noise(clean, eps, t)
        states = speak(captions)
        with torch.autocast(clean.device.type, torch.bfloat16):  # 1.4 x as fast where the processor has bfloat16
            guess = model(noisy, t, states).sample
        error = (guess.float() - eps).square().mean((1, 2, 3))
        certain = weight.to(t.device)[t]
        return (certain * error).sum() / certain.sum()

    return loss


@command
def main(argv: Sequence[str] | None = None) -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args(argv)
    book = Book("train")
    words = tokenizer(OUT / "tokenizer", [row["caption"] for row in book.pages] + MORE_WORDS)
    torch.manual_seed(0)
    encoder, model = text_encoder(words), unet().to(memory_format=torch.channels_last)

    def speak(captions: list[str]) -> Tensor:
        ids = words(captions, padding="max_length", max_length=LENGTH, truncation=True, return_tensors="pt").input_ids
        return encoder(ids).last_hidden_state

    latents = encode_book(book, AutoencoderKL.from_pretrained(VAE).eval())
    both = nn.ModuleDict({"encoder": encoder, "unet": model})
    train(
        both,
        denoising(model, speak, pages_of(book, latents)),
        title="words",
        steps=STEPS,
        lr=LR,
        folder=work_folder("words", FOLDER / "train", VAE),
        average=0.99,
    )
    encoder.save_pretrained(OUT / "text_encoder")
    words.save_pretrained(OUT / "tokenizer")
    model.save_pretrained(OUT / "unet")


if __name__ == "__main__":
    main()
