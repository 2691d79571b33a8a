"""Learn to cut out what is pointed at: a small SAM in transformers' layout.

in    lines/miniature/data/book/train; for `groups` also book/groups and lines/miniature/data/models/sam, to go on from
out   lines/miniature/data/models/sam, or sam_groups (SamModel, SamProcessor; safetensors)
command   python -m stages.miniature.sam         cost   1 hour on one core, 4 min on a GPU if there is one
          python -m stages.miniature.sam groups         8 min on a GPU: pages with several objects, so that the answer
          depends on what is asked; a SAM that saw one object at a time hardly looks at its prompt. The released weights
          come from two goes, of 3 300 and 4 000 steps, each with its own warm-up and cosine
expected  mean IoU of the mask that it trusts most, on held-out pages, about 0.90; after `groups` 0.94, and 0.76 for
          the prompted one of several objects (metrics/miniature.json)
source    Kirillov et al. 2023, arXiv 2304.02643, sections 3 and A: focal + dice on the best of three masks, MSE on
          its predicted IoU; prompts are points or a jittered box
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import (
    SamConfig,
    SamImageProcessor,
    SamMaskDecoderConfig,
    SamModel,
    SamProcessor,
    SamPromptEncoderConfig,
    SamVisionConfig,
)

from stages.miniature.apprentice import Loss, train, work_folder
from stages.miniature.book import FOLDER, Book
from stages.miniature.vae import to_pixels
from stages.parts.command import command
from stages.parts.pretrained.weights import load_model
from stages.parts.world.pages import SIDE

OUT = Path("lines/miniature/data/models/sam")
OUT_GROUPS = Path("lines/miniature/data/models/sam_groups")
STEPS, BATCH, LR = 3000, 32, 8e-4
GROUP_STEPS, GROUP_BATCH, GROUP_LR = 7300, 64, 6e-4
ASKED = 3  # prompts about each picture of a group batch: all of its objects, some of them more than once
MEAN, STD = [0.5, 0.5, 0.5], [0.5, 0.5, 0.5]


def build() -> SamModel:
    """ViT of width 128 over 16 x 16 patches of 4 pixels (windows of 8, two global layers), 64 x 64 mask logits."""
    vision = SamVisionConfig(
        hidden_size=128,
        output_channels=64,
        num_hidden_layers=6,
        num_attention_heads=4,
        image_size=SIDE,
        patch_size=4,
        window_size=8,
        global_attn_indexes=[2, 5],
        mlp_ratio=4.0,
        num_pos_feats=32,
        mlp_dim=512,
    )
    prompt = SamPromptEncoderConfig(
        hidden_size=64, image_size=SIDE, patch_size=4, mask_input_channels=8, image_embedding_size=16
    )
    decoder = SamMaskDecoderConfig(hidden_size=64, mlp_dim=256, num_attention_heads=4, iou_head_hidden_dim=64)
    torch.manual_seed(0)
    return localised(
        SamModel(
            SamConfig(
                vision_config=vision.to_dict(),
                prompt_encoder_config=prompt.to_dict(),
                mask_decoder_config=decoder.to_dict(),
            )
        )
    )


@torch.no_grad()
def localised(model: SamModel) -> SamModel:
    """The model with position frequencies of standard deviation 1, as in the published SAM.

    transformers draws them with half of the encoder's width (64 here): then two pixels side by side have nothing in
    common, and what is asked at a place says nothing about it."""
    frequencies = model.shared_image_embedding.positional_embedding
    frequencies.div_(frequencies.std())
    model.prompt_encoder.shared_embedding.positional_embedding = frequencies
    return model


def point_prompts(mask: np.ndarray, rng: np.random.Generator, count: int) -> np.ndarray:
    """`count` points (x, y) on the object, drawn uniformly from its pixels: (count, 2) float32."""
    rows, columns = np.nonzero(mask)
    picks = rng.integers(len(rows), size=count)
    return np.stack([columns[picks], rows[picks]], axis=1).astype(np.float32)


def cross_prompts(mask: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Points as the line's own prompt strews them: about the box's centre, some of them off the object: (5, 2)."""
    rows, columns = np.nonzero(mask)
    centre = np.array([(columns.min() + columns.max()) / 2, (rows.min() + rows.max()) / 2]) + rng.normal(0, 1.5, 2)
    arm_x, arm_y = 50 / 512 * SIDE, 25 / 512 * SIDE
    arms = np.array([[0, 0], [0, -arm_y], [0, arm_y], [-arm_x, 0], [arm_x, 0]])
    return np.clip(centre + arms, 0, SIDE - 1).astype(np.float32)


def box_prompt(mask: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The bounding box (x0, y0, x1, y1) float32, each side moved by up to a tenth of the box, as in SAM."""
    rows, columns = np.nonzero(mask)
    box = np.array([columns.min(), rows.min(), columns.max(), rows.max()], np.float32)
    sizes = np.array([box[2] - box[0], box[3] - box[1]] * 2)
    return np.clip(box + rng.normal(0, 0.1, 4) * sizes, 0, SIDE - 1).astype(np.float32)


def prompts(masks: np.ndarray, rng: np.random.Generator, others: np.ndarray | None = None) -> dict[str, Tensor]:
    """SamModel's keywords for a batch of (B, H, W) masks, none empty: one style for all, for they share a tensor.

    others: (B, H, W) bool, the pages' other objects. Given them, half of the prompts of points end with one that lies
    on another object, or on the background where there is none, and says so."""
    style = rng.choice(["points", "cross", "box"], p=[0.35, 0.45, 0.2])
    if style == "box":
        return {"input_boxes": torch.from_numpy(np.stack([box_prompt(m, rng) for m in masks]))[:, None]}
    count = int(rng.integers(1, 6))
    points = [cross_prompts(m, rng) if style == "cross" else point_prompts(m, rng, count) for m in masks]
    labels = np.ones((len(masks), len(points[0])), np.int64)
    if others is not None and rng.random() < 0.5:
        away = [other if other.any() else mask == 0 for mask, other in zip(masks, others, strict=True)]
        points = [np.concatenate([own, point_prompts(off, rng, 1)]) for own, off in zip(points, away, strict=True)]
        labels = np.concatenate([labels, np.zeros((len(masks), 1), np.int64)], axis=1)
    where = torch.from_numpy(np.stack(points))[:, None]
    return {"input_points": where, "input_labels": torch.from_numpy(labels)[:, None]}


def _turned(pages: np.ndarray, mirrored: np.ndarray) -> np.ndarray:
    """(B, H, W, ...) pages, those that `mirrored` (B,) names seen in a mirror."""
    return np.where(mirrored.reshape(-1, *[1] * (pages.ndim - 1)), pages[:, :, ::-1], pages)


def mask_losses(logits: Tensor, truth: Tensor) -> tuple[Tensor, Tensor]:
    """20 x focal + dice, and the true IoU, each (B, 3). logits (B, 3, H, W), truth (B, 1, H, W) 0/1."""
    p = logits.sigmoid()
    truth = truth.expand_as(logits)
    ce = F.binary_cross_entropy_with_logits(logits, truth, reduction="none")
    p_true = p * truth + (1 - p) * (1 - truth)
    focal = (ce * (1 - p_true) ** 2).mean((-1, -2))
    overlap = (p * truth).sum((-1, -2))
    dice = 1 - (2 * overlap + 1) / (p.sum((-1, -2)) + truth.sum((-1, -2)) + 1)
    hard = (logits > 0).float()
    inter = (hard * truth).sum((-1, -2))
    union = hard.sum((-1, -2)) + truth.sum((-1, -2)) - inter
    return 20 * focal + dice, inter / union.clamp(min=1)


def alone(model: SamModel, book: Book, device: str) -> Loss:
    """Of pages with one object, half of them mirrored."""

    def loss(step: int, rng: np.random.Generator, noise: torch.Generator) -> Tensor:
        picks = rng.integers(len(book), size=BATCH)
        mirrored = rng.random(BATCH) < 0.5
        images, masks = (_turned(pages[picks], mirrored) for pages in (book.images, book.masks))
        return answered(model, images, masks[:, None], prompts(masks, rng), device)

    return loss


def among_others(model: SamModel, single: Book, group: Book, device: str) -> Loss:
    """Of as many pages with one object as with several, each asked about ASKED objects."""

    def loss(step: int, rng: np.random.Generator, noise: torch.Generator) -> Tensor:
        pages = [(book, rng.integers(len(book), size=GROUP_BATCH // 2)) for book in (single, group)]
        mirrored = rng.random(GROUP_BATCH) < 0.5
        images = _turned(np.concatenate([book.images[picks] for book, picks in pages]), mirrored)
        instances = _turned(np.concatenate([book.masks[picks] for book, picks in pages]), mirrored)
        chosen = np.stack([objects(each, rng) for each in instances])
        masks = (instances[:, None] == chosen[:, :, None, None]).astype(np.uint8)
        others = (instances[:, None] > 0) & (masks == 0)
        flat = prompts(masks.reshape(-1, SIDE, SIDE), rng, others.reshape(-1, SIDE, SIDE))
        asked = {name: tensor.reshape(GROUP_BATCH, ASKED, *tensor.shape[2:]) for name, tensor in flat.items()}
        return answered(model, images, masks, asked, device)

    return loss


def objects(instances: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """ASKED numbers of objects of a page (H, W), different ones if it has as many: (ASKED,) int64."""
    there = rng.permutation(np.setdiff1d(instances, [0]).astype(np.int64))
    return np.resize(there, ASKED)


def answered(model: SamModel, images: np.ndarray, masks: np.ndarray, asked: dict[str, Tensor], device: str) -> Tensor:
    """The loss of SAM's answers: images (B, H, W, 3), masks (B, prompts, H, W) 0/1, prompts as of `prompts`."""
    asked = {name: tensor.to(device) for name, tensor in asked.items()}
    out = model(pixel_values=to_pixels(images).to(device), multimask_output=True, **asked)
    truth = torch.from_numpy(masks).flatten(0, 1)[:, None].float().to(device)
    quality, iou = mask_losses(out.pred_masks.flatten(0, 1), truth)
    best = quality.min(1).values
    return best.mean() + 0.02 * quality.mean() + F.mse_loss(out.iou_scores.flatten(0, 1), iou.detach())


def save(model: SamModel, folder: Path) -> None:
    """The model and its processor in transformers' layout."""
    model.save_pretrained(folder)
    size = {"longest_edge": SIDE}
    SamProcessor(
        SamImageProcessor(
            size=size,
            mask_size={"longest_edge": SIDE},
            pad_size={"height": SIDE, "width": SIDE},
            mask_pad_size={"height": SIDE, "width": SIDE},
            image_mean=MEAN,
            image_std=STD,
        )
    ).save_pretrained(folder)


@command
def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="?", choices=["groups"], help="go on, on pages with several objects too")
    device = "cuda" if torch.cuda.is_available() else "cpu"
    options: dict[str, Any] = {"average": 0.995, "device": device}
    if parser.parse_args(argv).what is None:
        model, work = build(), work_folder("sam", FOLDER / "train")
        train(model, alone(model, Book("train"), device), title="sam", steps=STEPS, lr=LR, folder=work, **options)
        save(model, OUT)
        return
    model = localised(load_model(SamModel, OUT)).train()
    work = work_folder("sam", FOLDER / "train", FOLDER / "groups", OUT)
    loss = among_others(model, Book("train"), Book("groups"), device)
    train(model, loss, title="sam, groups", steps=GROUP_STEPS, lr=GROUP_LR, folder=work, **options)
    save(model, OUT_GROUPS)


if __name__ == "__main__":
    main()
