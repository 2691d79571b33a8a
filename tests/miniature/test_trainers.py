"""Every trainer of the small models takes its steps on a book of 64 pages and leaves a model that opens; two losses by
hand."""

from __future__ import annotations

import math
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL, StableDiffusionPipeline
from safetensors.torch import load_file
from torch.nn import functional as F
from transformers import CLIPModel, SamModel

from stages.miniature import book, clip, diffusion, encoder, painter, saliency, sam, vae, vit, words
from stages.miniature.clip import contrastive
from stages.miniature.sam import mask_losses
from stages.parts.pretrained.features import Features
from stages.parts.pretrained.saliency import load_saliency
from stages.parts.segmenter.files import load_encoder
from stages.parts.segmenter.networks import build_segmenter


def run(monkeypatch: pytest.MonkeyPatch, trainer: ModuleType, groups: bool = False) -> Path:
    """A trainer's main with two steps in place of thousands; gives the folder it wrote."""
    monkeypatch.setattr(trainer, "GROUP_STEPS" if groups else "STEPS", 2)
    trainer.main(["groups"] if groups else [])
    out: Path = trainer.OUT_GROUPS if groups else trainer.OUT
    return out


def test_every_trainer_runs_and_leaves_a_model_that_opens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(book, "EDITIONS", {"train": (64, 1), "heldout": (100, 2)})
    monkeypatch.setattr(book, "GROUPS", {"groups": (64, 3)})
    book.main([])
    folded = AutoencoderKL.from_pretrained(run(monkeypatch, vae))
    assert folded.config.scaling_factor != 0.18215, "the scale is that of this book's latents, not diffusers' own"
    run(monkeypatch, words)
    run(monkeypatch, painter)
    pipe = StableDiffusionPipeline.from_pretrained(run(monkeypatch, diffusion))
    pipe.set_progress_bar_config(disable=True)
    drawn = pipe("a photo of a bus", num_inference_steps=2, height=64, width=64, output_type="np").images
    assert drawn.shape == (1, 64, 64, 3)
    pipe = StableDiffusionPipeline.from_pretrained(run(monkeypatch, diffusion, groups=True))
    pipe.set_progress_bar_config(disable=True)
    pipe("a bus, a car and a train in the snow; bus car train", num_inference_steps=2, height=64, width=64)
    assert pipe.tokenizer.model_max_length == diffusion.GROUP_LENGTH
    CLIPModel.from_pretrained(run(monkeypatch, clip))
    SamModel.from_pretrained(run(monkeypatch, sam))
    SamModel.from_pretrained(run(monkeypatch, sam, groups=True))
    found = load_saliency(run(monkeypatch, saliency))(np.zeros((48, 80, 3), np.uint8))
    assert found.shape == (48, 80) and found.dtype == np.float32 and 0 <= found.min() <= found.max() <= 1
    weights = run(monkeypatch, encoder) / "model.safetensors"
    load_encoder(build_segmenter("unet", 19), weights)
    assert all(torch.isfinite(value).all() for value in load_file(weights).values())


def test_the_self_distilled_vit_opens_as_dinov2_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(vit, "PICTURES", 8)
    features = Features(run(monkeypatch, vit))
    assert features.patch == vit.PATCH
    maps = features.batch(np.zeros((2, 64, 128, 3), np.uint8))
    assert maps.shape == (2, vit.WIDTH, 16, 32) and np.isfinite(maps).all()


def test_the_teacher_is_asked_about_the_same_place() -> None:
    """A picture whose colour is its column: a crop's cells, sought in another crop, have the colours seen there."""
    rng = np.random.default_rng(0)
    ramp = torch.linspace(-1, 1, 128).expand(4, 1, 64, 128).contiguous()
    teacher, student = vit.crops(rng, 4, vit.NEAR, 2.0), vit.crops(rng, 4, vit.FAR, 2.0)
    seen = F.grid_sample(ramp, teacher.places((12, 16)), align_corners=False)
    where = teacher.within(student.places((6, 8)))
    found = F.grid_sample(seen, where, padding_mode="border", align_corners=False)
    own = F.grid_sample(ramp, student.places((6, 8)), align_corners=False)
    inside = where.abs().amax(-1) < 0.9
    assert inside.any() and (found[:, 0] - own[:, 0])[inside].abs().max() < 0.05


def test_assignments_use_every_prototype_alike() -> None:
    share = vit.sinkhorn(torch.randn(500, 10, generator=torch.Generator().manual_seed(0)) * 0.1)
    torch.testing.assert_close(share.sum(1), torch.ones(500))
    assert (share.sum(0) / 50 - 1).abs().max() < 0.2


def test_a_prompt_about_one_of_several_may_say_which_it_is_not() -> None:
    masks = np.zeros((2, 64, 64), np.uint8)
    masks[:, 10:30, 10:30] = 1
    others = np.zeros((2, 64, 64), bool)
    others[0, 40:60, 40:60] = True
    rng, off = np.random.default_rng(0), 0
    for _ in range(40):
        asked = sam.prompts(masks, rng, others)
        if "input_labels" not in asked or (asked["input_labels"] == 1).all():
            continue
        off += 1
        assert (asked["input_labels"][:, 0, -1] == 0).all() and (asked["input_labels"][:, 0, :-1] == 1).all()
        (x, y), (u, v) = asked["input_points"][:, 0, -1].long().tolist()
        assert others[0, y, x] and not masks[1, v, u]
    assert off > 5


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
