"""Learn words by pictures: a tokenizer, and a CLIP whose text encoder the diffusion model will share.

in    data/miniature/book/train
out   data/miniature/models/clip (CLIPModel, tokenizer, image processor; safetensors)
command   python -m stages.miniature.clip        cost   12 min on one core
expected  class of a held-out picture right in about 75 %: words enough to draw by; the scorer sharpens the eye
source    Radford et al. 2021, arXiv 2103.00020, eq. of section 2.3, with equal captions counted as one
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from tokenizers import Regex, Tokenizer
from tokenizers.models import BPE
from tokenizers.normalizers import Lowercase
from tokenizers.pre_tokenizers import Split
from tokenizers.trainers import BpeTrainer
from torch import Tensor
from torch.nn import functional as F
from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel, CLIPTextConfig, CLIPTokenizer, CLIPVisionConfig

from stages.miniature.apprentice import train
from stages.miniature.book import Book
from stages.miniature.picturebook import SIDE
from stages.params import command

OUT, WORK = Path("data/miniature/models/clip"), Path("data/miniature/work/clip")
STEPS, BATCH, LR = 1500, 64, 1e-3
LENGTH = 20  # tokens of a text, SoT and EoT included: the longest caption has 17
MEAN, STD = [0.5, 0.5, 0.5], [0.5, 0.5, 0.5]
VOCABULARY = ["artistic painting of an image, street, road with trees and sky"]  # words that prompts may want beyond the book's
GREY = 128  # the ground a cutout lies on when it is judged


def tokenizer(folder: Path, texts: Iterable[str]) -> CLIPTokenizer:
    """A byte-pair tokenizer of CLIP's own kind, learned until every word of `texts` is one token."""
    bpe = Tokenizer(BPE(unk_token="<|endoftext|>", end_of_word_suffix="</w>", continuing_subword_prefix=""))
    bpe.normalizer, bpe.pre_tokenizer = Lowercase(), Split(Regex(r"\p{L}+|\p{N}|[^\s\p{L}\p{N}]+"), "removed", invert=True)
    printable = [chr(c) for c in range(33, 127)]
    alphabet = printable + [c + "</w>" for c in printable]
    trainer = BpeTrainer(vocab_size=4000, show_progress=False, initial_alphabet=printable, end_of_word_suffix="</w>",
                         special_tokens=["<|startoftext|>", "<|endoftext|>", *alphabet])  # fmt: skip
    bpe.train_from_iterator(texts, trainer)
    learned = json.loads(bpe.to_str())["model"]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.json").write_text(json.dumps(learned["vocab"]))
    (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(" ".join(pair) for pair in learned["merges"]) + "\n")
    return CLIPTokenizer(str(folder / "vocab.json"), str(folder / "merges.txt"), model_max_length=LENGTH, pad_token="<|endoftext|>")


def build(vocabulary: CLIPTokenizer) -> CLIPModel:
    """CLIP at width 128: 3 text layers, 4 vision layers over 8 x 8 patches of 8 pixels."""
    ends = {"bos_token_id": vocabulary.bos_token_id, "eos_token_id": vocabulary.eos_token_id, "pad_token_id": vocabulary.pad_token_id}
    text = CLIPTextConfig(vocab_size=len(vocabulary), hidden_size=128, intermediate_size=512, projection_dim=64, num_hidden_layers=3,
                          num_attention_heads=4, max_position_embeddings=LENGTH, **ends)  # fmt: skip
    vision = CLIPVisionConfig(hidden_size=128, intermediate_size=512, projection_dim=64, num_hidden_layers=4, num_attention_heads=4,
                              image_size=SIDE, patch_size=8)  # fmt: skip
    torch.manual_seed(0)
    return CLIPModel(CLIPConfig(text_config=text.to_dict(), vision_config=vision.to_dict(), projection_dim=64))


def contrastive(image: Tensor, text: Tensor, captions: list[str], scale: Tensor) -> Tensor:
    """Symmetric cross-entropy over cosine similarities (B, B); equal captions share the target mass equally."""
    image, text = F.normalize(image, dim=-1), F.normalize(text, dim=-1)
    logits = scale.exp() * image @ text.T
    names = np.array(captions)
    same = torch.from_numpy((names[:, None] == names[None, :]).astype(np.float32))
    target = same / same.sum(1, keepdim=True)
    return (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2


def batch(book: Book, rng: np.random.Generator, size: int) -> tuple[Tensor, list[str]]:
    """`size` random pages as CLIP sees them: (size, 3, 64, 64) float32 in -1..1, and their captions.

    A third of the objects lie cut out on grey, as the cutouts that CLIP will judge, and are called by name alone.
    """
    picks = rng.integers(len(book), size=size)
    images, captions = book.images[picks].copy(), book.captions(picks, rng)
    for k in np.flatnonzero(rng.random(size) < 0.35):
        images[k] = _alone(images[k], book.masks[picks[k]], close=bool(rng.random() < 0.7))
        captions[k] = f"a photo of a {book.pages[picks[k]]['kind' if rng.random() < 0.5 else 'subtype']}"
    pixels = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 127.5 - 1
    return (pixels.flip(-1) if rng.random() < 0.5 else pixels), captions


def _alone(image: np.ndarray, mask: np.ndarray, close: bool) -> np.ndarray:
    """The object on grey; `close`: so near that its longer side fills the picture, as `refine` shows a cutout."""
    cut = np.where(mask[..., None] > 0, image, np.uint8(GREY))
    if not close:
        return cut
    rows, columns = np.nonzero(mask)
    top, bottom, left, right = rows.min(), rows.max() + 1, columns.min(), columns.max() + 1
    side = max(bottom - top, right - left)
    square = Image.new("RGB", (side, side), (GREY, GREY, GREY))
    square.paste(Image.fromarray(cut[top:bottom, left:right]), ((side - right + left) // 2, (side - bottom + top) // 2))
    return np.asarray(square.resize((SIDE, SIDE), Image.Resampling.BICUBIC))


@command
def main(argv: Sequence[str] | None = None) -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args(argv)
    book = Book("train")
    words = tokenizer(WORK, [row["caption"] for row in book.pages] + VOCABULARY)
    model = build(words)

    def loss(step: int, rng: np.random.Generator, noise: torch.Generator) -> Tensor:
        pixels, captions = batch(book, rng, BATCH)
        tokens = words(captions, padding="max_length", return_tensors="pt")
        out = model(input_ids=tokens.input_ids, attention_mask=tokens.attention_mask, pixel_values=pixels)
        return contrastive(out.image_embeds, out.text_embeds, captions, model.logit_scale)

    train(model, loss, title="clip", steps=STEPS, lr=LR, folder=WORK, average=0.995)
    model.save_pretrained(OUT)
    words.save_pretrained(OUT)
    size = {"height": SIDE, "width": SIDE}
    CLIPImageProcessor(size=size, crop_size=size, image_mean=MEAN, image_std=STD).save_pretrained(OUT)


if __name__ == "__main__":
    main()
