"""Learn to name what a picture shows: the encoder that the small segmenter starts from, as others start from ImageNet.

in    lines/miniature/data/book/train
out   lines/miniature/data/models/encoder/model.safetensors (the encoder of the segmenter `unet`)
command   python -m stages.miniature.encoder        cost   12 min on one core
expected  subtype (of 26) of a held-out page right in over 75 % (metrics/miniature.json)
source    pretraining by classification, as for SegFormer (Xie et al. 2021, arXiv 2105.15203, section 4.1); it is told
          names alone, and sees no mask
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F

from stages.miniature.apprentice import Loss, train, work_folder
from stages.miniature.book import FOLDER, Book
from stages.parts.command import command
from stages.parts.datasets.labels import CITYSCAPES
from stages.parts.segmenter.networks import build_segmenter
from stages.parts.world.backdrops import PLACES
from stages.parts.world.objects import SUBTYPES

OUT = Path("lines/miniature/data/models/encoder")
STEPS, BATCH, LR = 6000, 64, 3e-3
NAMES = [subtype for subtypes in SUBTYPES.values() for subtype in subtypes]
PLACE = 0.5  # weight of the place's name in the loss
TURN = np.array([[0, -1, 1], [1, 0, -1], [-1, 1, 0]]) / math.sqrt(3)  # generates rotations about the grey axis


class Namer(nn.Module):
    """The segmenter's encoder, its deepest map averaged, and one linear layer for each of two names."""

    def __init__(self) -> None:
        super().__init__()
        network = build_segmenter("unet", len(CITYSCAPES.names))
        network.init_weights()
        self.encoder = network.backbone.encoder
        self.preprocessor = network.data_preprocessor
        width = network.backbone.base_channels * 2 ** (len(self.encoder) - 1)
        self.subtype, self.place = nn.Linear(width, len(NAMES)), nn.Linear(width, len(PLACES))

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 3, H, W) RGB in 0..1 -> logits (B, 26) of the subtype and (B, 10) of the place."""
        x = (images * 255 - self.preprocessor.mean) / self.preprocessor.std
        x = x.contiguous(memory_format=torch.channels_last)
        for level in self.encoder:
            x = level(x)
        x = x.mean((2, 3))
        return self.subtype(x), self.place(x)


def augmented(images: Tensor, rng: np.random.Generator) -> Tensor:
    """(B, 3, H, W) in 0..1 -> the same, each otherwise coloured, mirrored, nearer or farther, blurred, noisy."""

    def uniform(low: float, high: float) -> Tensor:
        return torch.from_numpy(rng.uniform(low, high, (len(images), 1, 1, 1)).astype(np.float32))

    grey = images.mean(1, keepdim=True)
    images = grey + (images - grey) * uniform(0.3, 1.5)
    mean = images.mean((1, 2, 3), keepdim=True)
    images = mean + (images - mean) * uniform(0.6, 1.4)
    images = zoomed(turned(images, rng), rng)
    if rng.random() < 0.4:
        images = F.avg_pool2d(F.pad(images, (1, 1, 1, 1), mode="reflect"), 3, 1)
    noise = torch.from_numpy(rng.standard_normal(images.shape).astype(np.float32))
    return (images + noise * uniform(0, 0.06)).clamp(0, 1)


def turned(images: Tensor, rng: np.random.Generator) -> Tensor:
    """Half of the images with their hues turned by any angle (Rodrigues' formula about the grey axis)."""
    angle = rng.uniform(-math.pi, math.pi, len(images)) * (rng.random(len(images)) < 0.5)
    cos, sin = np.cos(angle)[:, None, None], np.sin(angle)[:, None, None]
    rotation = np.eye(3) * cos + TURN * sin + (1 - cos) / 3
    return torch.einsum("bij,bjhw->bihw", torch.from_numpy(rotation.astype(np.float32)), images)


def zoomed(images: Tensor, rng: np.random.Generator) -> Tensor:
    """Each image 0.6 to 2.6 times as far away, a little stretched and moved, half of them mirrored."""
    count = len(images)
    distance, stretch = rng.uniform(0.6, 2.6, count), rng.uniform(0.85, 1.18, count)
    mirror = np.where(rng.random(count) < 0.5, -1, 1)
    theta = np.zeros((count, 2, 3), np.float32)
    theta[:, 0, 0], theta[:, 1, 1] = distance * stretch * mirror, distance / stretch
    theta[:, :, 2] = rng.uniform(-1, 1, (count, 2)) * 0.6 * np.abs(distance - 1)[:, None]
    grid = F.affine_grid(torch.from_numpy(theta), list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, padding_mode="reflection", align_corners=False)


def naming(model: Namer, book: Book) -> Loss:
    """Cross-entropy of both names on augmented pages."""
    names = torch.tensor([[NAMES.index(row["subtype"]), PLACES.index(row["place"])] for row in book.pages])

    def loss(step: int, rng: np.random.Generator, noise: torch.Generator) -> Tensor:
        picks = rng.integers(len(book), size=BATCH)
        images = torch.from_numpy(book.images[picks]).permute(0, 3, 1, 2).float() / 255
        subtype, place = model(augmented(images, rng))
        truth = names[picks]
        return F.cross_entropy(subtype, truth[:, 0]) + PLACE * F.cross_entropy(place, truth[:, 1])

    return loss


@torch.no_grad()
def accuracy(model: Namer, book: Book) -> float:
    """Share of an edition's pages whose subtype is named right."""
    found = []
    for k in range(0, len(book), 100):
        images = torch.from_numpy(book.images[k : k + 100].copy()).permute(0, 3, 1, 2).float() / 255
        found += [NAMES[i] for i in model(images)[0].argmax(1)]
    return round(float(np.mean([name == row["subtype"] for name, row in zip(found, book.pages, strict=True)])), 4)


@command
def main(argv: Sequence[str] | None = None) -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args(argv)
    book = Book("train")
    torch.manual_seed(0)
    model = Namer()
    folder = work_folder("encoder", FOLDER / "train")
    train(model, naming(model, book), title="encoder", steps=STEPS, lr=LR, folder=folder, average=0.99)
    right = accuracy(model, Book("heldout"))
    print(f"encoder: names {right:.1%} of the held-out pages' subtypes")
    OUT.mkdir(parents=True, exist_ok=True)
    weights = {name: value.contiguous() for name, value in model.encoder.state_dict().items()}
    save_file(weights, OUT / "model.safetensors", {"heldout_accuracy": str(right)})


if __name__ == "__main__":
    main()
