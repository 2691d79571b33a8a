"""Every trainer of the small models takes its steps on a book of 64 pages and leaves a model that opens; two losses by
hand."""

from __future__ import annotations

import math
from pathlib import Path
from types import ModuleType

import pytest
import torch
from diffusers import AutoencoderKL, StableDiffusionPipeline
from safetensors.torch import load_file
from transformers import CLIPModel, SamModel

from stages.miniature import book, clip, diffusion, encoder, painter, sam, vae, words
from stages.miniature.clip import contrastive
from stages.miniature.sam import mask_losses
from stages.parts.segmenter.files import load_encoder
from stages.parts.segmenter.networks import build_segmenter


def run(monkeypatch: pytest.MonkeyPatch, trainer: ModuleType, steps: int = 2) -> Path:
    """A trainer's main with two steps in place of thousands; gives the folder it wrote."""
    monkeypatch.setattr(trainer, "STEPS", steps)
    trainer.main([])
    out: Path = trainer.OUT
    return out


def test_every_trainer_runs_and_leaves_a_model_that_opens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(book, "EDITIONS", {"train": (64, 1), "heldout": (100, 2)})
    book.main([])
    folded = AutoencoderKL.from_pretrained(run(monkeypatch, vae))
    assert folded.config.scaling_factor != 0.18215, "the scale is that of this book's latents, not diffusers' own"
    run(monkeypatch, words)
    run(monkeypatch, painter)
    pipe = StableDiffusionPipeline.from_pretrained(run(monkeypatch, diffusion))
    pipe.set_progress_bar_config(disable=True)
    drawn = pipe("a photo of a bus", num_inference_steps=2, height=64, width=64, output_type="np").images
    assert drawn.shape == (1, 64, 64, 3)
    CLIPModel.from_pretrained(run(monkeypatch, clip))
    SamModel.from_pretrained(run(monkeypatch, sam))
    weights = run(monkeypatch, encoder) / "model.safetensors"
    load_encoder(build_segmenter("unet", 19), weights)
    assert all(torch.isfinite(value).all() for value in load_file(weights).values())


def test_mask_losses_by_hand() -> None:
    """2 x 2 pixels, the upper row the object. Logit 0 everywhere; then right and sure; then wrong and sure."""
    truth = torch.tensor([[1.0, 1.0], [0.0, 0.0]])[None, None]
    sure = 50 * (2 * truth - 1)
    quality, iou = mask_losses(torch.cat([torch.zeros_like(truth), sure, -sure], dim=1), truth)
    focal = math.log(2) * 0.5**2  # of every pixel
    dice = 1 - (2 * 1 + 1) / (2 + 2 + 1)  # overlap 2 x 0.5, four halves, two of the object
    torch.testing.assert_close(quality[0, 0].item(), 20 * focal + dice)
    torch.testing.assert_close(quality[0, 1].item(), 0.0, atol=1e-6, rtol=0)
    torch.testing.assert_close(quality[0, 2].item(), 20 * 50.0 + 1 - 1 / 5)
    assert iou[0].tolist() == [0.0, 1.0, 0.0], "a logit of 0 is no mask"


def test_contrast_by_hand() -> None:
    """Right pairs at cosine 1, others at 0, temperature e^0: -log softmax of (1, 0)."""
    axes = torch.eye(2)
    own = -math.log(math.e / (math.e + 1))
    scale = torch.tensor(0.0)
    torch.testing.assert_close(contrastive(3 * axes, 5 * axes, ["bus", "car"], scale).item(), own)
    crossed = contrastive(axes, axes.flip(0), ["bus", "car"], scale).item()
    torch.testing.assert_close(crossed, own + 1)
    # Equal captions share the mass: each row is asked for (1/2, 1/2), and the mean of both logits is 1/2.
    torch.testing.assert_close(contrastive(axes, axes, ["bus", "bus"], scale).item(), own + 0.5)
    assert contrastive(axes, axes, ["bus", "car"], torch.tensor(3.0)) < contrastive(axes, axes, ["bus", "car"], scale)
