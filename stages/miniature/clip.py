"""Learn to tell what a picture shows: CLIP's image encoder beside the text encoder that the diffusion model uses.

in    lines/miniature/data/book/train, lines/miniature/data/models/words
out   lines/miniature/data/models/clip (CLIPModel, tokenizer, image processor; safetensors)
command   python -m stages.miniature.clip        cost   50 min on one core
expected  class right in 94 to 97 % of fresh drawings, 95 to 100 % of held-out pages (metrics/miniature.json)
source    Radford et al. 2021, arXiv 2103.00020, section 2.3; one tower locked as in Zhai et al. 2022, arXiv 2111.07991;
          equal captions of a batch count as one
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F
from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel, CLIPTextModel, CLIPTokenizer, CLIPVisionConfig

from stages.miniature.apprentice import train, work_folder
from stages.miniature.book import FOLDER, Book
from stages.miniature.words import OUT as WORDS
from stages.parts.command import command
from stages.parts.world.pages import SIDE

OUT = Path("lines/miniature/data/models/clip")
STEPS, BATCH, LR = 8000, 64, 1e-3
MEAN, STD = [0.5, 0.5, 0.5], [0.5, 0.5, 0.5]
GREY = 128  # the ground a cutout lies on when it is judged


def build(words: CLIPTokenizer, encoder: CLIPTextModel) -> CLIPModel:
    """CLIP around a given text encoder: 4 vision layers of width 128 over 8 x 8 patches, 64 dimensions shared."""
    vision = CLIPVisionConfig(
        hidden_size=128,
        intermediate_size=512,
        projection_dim=64,
        num_hidden_layers=4,
        num_attention_heads=4,
        image_size=SIDE,
        patch_size=8,
    )
    torch.manual_seed(0)
    model = CLIPModel(
        CLIPConfig(text_config=encoder.config.to_dict(), vision_config=vision.to_dict(), projection_dim=64)
    )
    model.text_model.load_state_dict({k.removeprefix("text_model."): v for k, v in encoder.state_dict().items()})
    model.text_model.requires_grad_(False)  # its projection still learns: the diffusion model does not read it
    return model


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
    words, encoder = (
        CLIPTokenizer.from_pretrained(WORDS / "tokenizer"),
        CLIPTextModel.from_pretrained(WORDS / "text_encoder"),
    )
    model = build(words, encoder)

    def loss(step: int, rng: np.random.Generator, noise: torch.Generator) -> Tensor:
        pixels, captions = batch(book, rng, BATCH)
        tokens = words(captions, padding="max_length", return_tensors="pt")
        out = model(input_ids=tokens.input_ids, attention_mask=tokens.attention_mask, pixel_values=pixels)
        return contrastive(out.image_embeds, out.text_embeds, captions, model.logit_scale)

    train(
        model,
        loss,
        title="clip",
        steps=STEPS,
        lr=LR,
        folder=work_folder("clip", FOLDER / "train", WORDS),
        average=0.995,
    )
    model.save_pretrained(OUT)
    words.save_pretrained(OUT)
    size = {"height": SIDE, "width": SIDE}
    CLIPImageProcessor(size=size, crop_size=size, image_mean=MEAN, image_std=STD).save_pretrained(OUT)


if __name__ == "__main__":
    main()
