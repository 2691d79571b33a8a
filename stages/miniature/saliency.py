"""Learn what stands out: a small U2-Net that knows objects from places, whatever the objects are called.

in    lines/miniature/data/book/{train, groups}
out   lines/miniature/data/models/saliency (config.json, model.safetensors)
command   python -m stages.miniature.saliency        cost   10 min on one core
expected  max F of 0.90 or more on photos that it has not seen (metrics/miniature.json)
source    Qin et al. 2020, arXiv 2005.09007 (nested U-blocks, a loss on every side output); the width and depth are ours
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from stages.miniature.apprentice import Loss, train, work_folder
from stages.miniature.book import FOLDER, Book
from stages.miniature.encoder import turned
from stages.parts.command import command
from stages.parts.pretrained.saliency import SmallU2Net, save

OUT = Path("lines/miniature/data/models/saliency")
STEPS, BATCH, LR = 900, 16, 3e-3
GROUPS = 0.5  # share of the batch with pages of several objects


def examples(single: Book, group: Book, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """(BATCH, 3, 64, 64) in 0..1 and the masks of all objects (BATCH, 1, 64, 64) 0/1: pages of one and of several
    objects, mirrored, otherwise coloured, brought nearer or farther."""
    images, masks = [], []
    for book, count in ((group, round(BATCH * GROUPS)), (single, BATCH - round(BATCH * GROUPS))):
        picks = rng.integers(len(book), size=count)
        images.append(book.images[picks])
        masks.append(book.masks[picks] > 0)
    pictures = torch.from_numpy(np.concatenate(images)).permute(0, 3, 1, 2).float() / 255
    objects = torch.from_numpy(np.concatenate(masks))[:, None].float()
    pictures = coloured(pictures, rng)
    zoom = torch.from_numpy(rng.uniform(0.7, 1.3, len(pictures)).astype(np.float32))
    mirror = torch.from_numpy(np.where(rng.random(len(pictures)) < 0.5, -1, 1).astype(np.float32))
    shift = torch.from_numpy(rng.uniform(-0.3, 0.3, (len(pictures), 2)).astype(np.float32))
    theta = torch.zeros(len(pictures), 2, 3)
    theta[:, 0, 0], theta[:, 1, 1], theta[:, :, 2] = zoom * mirror, zoom, shift
    grid = F.affine_grid(theta, list(pictures.shape), align_corners=False)
    moved = F.grid_sample(pictures, grid, padding_mode="reflection", align_corners=False)
    where = F.grid_sample(objects, grid, padding_mode="reflection", align_corners=False)
    return moved, (where > 0.5).float()


def coloured(images: Tensor, rng: np.random.Generator) -> Tensor:
    """(B, 3, H, W) in 0..1, each with other hues, saturation, contrast and brightness, and a camera's noise."""

    def uniform(low: float, high: float) -> Tensor:
        return torch.from_numpy(rng.uniform(low, high, (len(images), 1, 1, 1)).astype(np.float32))

    grey = images.mean(1, keepdim=True)
    images = turned(grey + (images - grey) * uniform(0.3, 1.2), rng)
    mean = images.mean((1, 2, 3), keepdim=True)
    images = (mean + (images - mean) * uniform(0.7, 1.3)) * uniform(0.7, 1.3)
    noise = torch.from_numpy(rng.standard_normal(images.shape).astype(np.float32))
    return (images + noise * uniform(0, 0.04)).clamp(0, 1)


def standing_out(model: SmallU2Net, single: Book, group: Book) -> Loss:
    """Binary cross-entropy of the fused map and of every side output."""

    def loss(step: int, rng: np.random.Generator, noise: torch.Generator) -> Tensor:
        pictures, objects = examples(single, group, rng)
        total = torch.zeros(())
        for logits in model(pictures.contiguous(memory_format=torch.channels_last)):
            total = total + F.binary_cross_entropy_with_logits(logits, objects)
        return total

    return loss


@command
def main(argv: Sequence[str] | None = None) -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args(argv)
    torch.manual_seed(0)
    model = SmallU2Net().to(memory_format=torch.channels_last)
    folder = work_folder("saliency", FOLDER / "train", FOLDER / "groups")
    loss = standing_out(model, Book("train"), Book("groups"))
    train(model, loss, title="saliency", steps=STEPS, lr=LR, folder=folder, average=0.99)
    save(model, OUT)


if __name__ == "__main__":
    main()
