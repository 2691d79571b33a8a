"""The examiner of drawings: a segmenter that has learned from the book's pages which pixels are of which class.

It has true masks, which no line has; it looks at drawings of two things, and at nothing else. How far its look can be
trusted is measured on held-out pages, whose objects are known.
"""

from __future__ import annotations

import numpy as np
import torch
from mmseg.models import EncoderDecoder
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from stages.miniature.apprentice import Loss, train, work_folder
from stages.miniature.book import FOLDER, SEPARATOR, Book
from stages.miniature.encoder import OUT as ENCODER
from stages.miniature.saliency import coloured
from stages.parts.segmenter.files import load_encoder
from stages.parts.segmenter.networks import build_segmenter
from stages.parts.segmenter.predict import predict
from stages.release.drawing import KINDS

STEPS, BATCH, LR = 1000, 16, 3e-3
SMALLEST = 0.015  # area of a class as a share of the picture, from which on a drawing shows it


class Examiner:
    """The classes that a picture shows; learned at the first use, from lines/miniature/data/book and the encoder."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        model = build_segmenter("unet", 1 + len(KINDS))
        model.init_weights()
        load_encoder(model, ENCODER / "model.safetensors")
        folder = work_folder("examiner", FOLDER / "train", FOLDER / "groups", ENCODER, room="stages.release")
        loss = naming_pixels(model, Book("train"), Book("groups"))
        train(model, loss, title="examiner", steps=STEPS, lr=LR, folder=folder, average=0.99)
        self.model = model.eval()

    def __call__(self, image: NDArray[np.uint8]) -> set[str]:
        """(H, W, 3) uint8 RGB -> names among the six classes."""
        shares = np.bincount(predict(self.model, [image])[0].ravel(), minlength=1 + len(KINDS)) / image[..., 0].size
        return {kind for kind, share in zip(KINDS, shares[1:], strict=True) if share >= SMALLEST}


def labels(book: Book, picks: NDArray[np.int64]) -> NDArray[np.int64]:
    """(B, H, W): 0, or 1 + the class of the object that is seen there."""
    found = []
    for k in picks:
        classes = [0, *(1 + KINDS.index(kind) for kind in book.pages[k]["kind"].split(SEPARATOR))]
        found.append(np.array(classes)[book.masks[k]])
    return np.stack(found)


def naming_pixels(model: EncoderDecoder, single: Book, group: Book) -> Loss:
    """Cross-entropy of each pixel's class, on as many pages of one object as of several, mirrored, in other colours."""

    def loss(step: int, rng: np.random.Generator, noise: torch.Generator) -> Tensor:
        drawn = [(book, rng.integers(len(book), size=BATCH // 2)) for book in (single, group)]
        images = np.concatenate([book.images[picks] for book, picks in drawn])
        truth = torch.from_numpy(np.concatenate([labels(book, picks) for book, picks in drawn]))
        pixels = coloured(torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255, rng) * 255
        mirrored = torch.from_numpy(rng.random(BATCH) < 0.5)[:, None, None]
        pixels = torch.where(mirrored[..., None], pixels.flip(3), pixels)
        truth = torch.where(mirrored, truth.flip(2), truth)
        inputs = (pixels - model.data_preprocessor.mean) / model.data_preprocessor.std
        logits = model.encode_decode(inputs, [{"img_shape": inputs.shape[2:]}] * BATCH)
        return F.cross_entropy(logits, truth)

    return loss
