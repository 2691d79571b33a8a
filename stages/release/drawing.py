"""What the drawing model, its autoencoder and the scorer can do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKL, StableDiffusionImg2ImgPipeline
from numpy.typing import NDArray
from PIL import Image
from tqdm import tqdm

from stages.generate import params as generating
from stages.generate import sampler
from stages.miniature.book import Book
from stages.miniature.vae import to_pixels
from stages.parts.masks.dense_crf import dense_crf
from stages.parts.masks.points import hard_seed
from stages.parts.pretrained.clip import Clip
from stages.parts.recording.ovam import record, word_maps
from stages.parts.recording.unet import cross_attention, embed
from stages.parts.world.backdrops import PLACES
from stages.parts.world.objects import SUBTYPES
from stages.refine import params as refining
from stages.release.cutting import iou

KINDS = tuple(SUBTYPES)
PER_CLASS = 32  # drawings per class that the scorer judges
PAGES = 300  # held-out pages for the autoencoder and the scorer
CLASS_TOKEN = 5  # of "a photo of a bus", the start of the text being token 0
STRENGTH = 0.6  # share of the noise that a page is drowned in before it is drawn again


class Params(generating.Params, refining.Params):
    """What the models are measured with."""


@torch.no_grad()
def fidelity(vae: AutoencoderKL, book: Book) -> dict[str, float]:
    """Of reconstructed held-out pages: peak signal-to-noise ratio in dB, of the page and of its object alone, and how
    steep the object's edges are, as a share of what they are in the page."""
    pixels = to_pixels(book.images[:PAGES].copy())
    recon = vae.decode(vae.encode(pixels).latent_dist.mean).sample.clamp(-1, 1)
    on = torch.from_numpy(book.masks[:PAGES] > 0)
    error = (recon - pixels).square().mean(1)
    slope = [image.diff(dim=-1).abs().mean(1)[on[..., 1:]].mean() for image in (recon, pixels)]
    return {
        "psnr_db": round(float(10 * torch.log10(4 / error.mean())), 2),
        "object_psnr_db": round(float(10 * torch.log10(4 / error[on].mean())), 2),
        "edges": round(float(slope[0] / slope[1]), 3),
    }


def scored(clip: Clip, pictures: Sequence[tuple[NDArray[np.uint8], str]]) -> dict[str, float]:
    """Share of (image, class) pairs, by class, that the scorer puts into that class."""
    right: dict[str, list[bool]] = {kind: [] for kind in KINDS}
    for image, kind in tqdm(pictures, desc="scoring", unit="picture"):
        right[kind].append(KINDS[int(np.argmax(clip(image)))] == kind)
    return {kind: round(float(np.mean(hits)), 4) for kind, hits in right.items()}


def drawings(pipe: Any, params: Params) -> list[tuple[NDArray[np.uint8], str]]:
    """PER_CLASS drawings of every class: each subtype in turn, places by chance, seeds that generate does not use."""
    made, rng = [], np.random.default_rng(0)
    for kind in tqdm(KINDS, desc="drawing", unit="class"):
        words = [SUBTYPES[kind][k % len(SUBTYPES[kind])] for k in range(PER_CLASS)]
        texts = [f"a photo of a {sub} {PLACES[rng.integers(len(PLACES))]}, color" for sub in words]
        made += [(image, kind) for image in drawn(pipe, texts, 10**6, params)]
    return made


def drawn(pipe: Any, texts: list[str], first_seed: int, params: Params) -> list[NDArray[np.uint8]]:
    """A drawing (64, 64, 3) uint8 of each text, with the sampling of params.yaml; seeds from first_seed on."""
    settings, found = params.generate, []
    for start in tqdm(range(0, len(texts), PER_CLASS), desc="drawing", unit="batch", delay=2, leave=False):
        batch = texts[start : start + PER_CLASS]
        images = pipe(
            batch,
            negative_prompt=["grayscale"] * len(batch),
            generator=[torch.Generator().manual_seed(first_seed + start + k) for k in range(len(batch))],
            num_inference_steps=settings.steps,
            guidance_scale=settings.guidance,
            height=settings.height,
            width=settings.width,
            output_type="np",
        ).images
        found += [(image * 255).round().astype(np.uint8) for image in images]
    return found


def attribution_iou(pipe: Any, book: Book, params: Params) -> dict[str, float]:
    """IoU of the binarised map (threshold, then CRF) with a mask that can be trusted on a generated image.

    A held-out page is noised part of the way and drawn again from its caption (SDEdit, Meng et al. 2022): the
    object stays where the renderer put it, so the page's own mask is the truth.
    """
    refine, redraw = params.refine, StableDiffusionImg2ImgPipeline(**pipe.components, requires_safety_checker=False)
    redraw.set_progress_bar_config(disable=True)
    found: dict[str, list[float]] = {name: [] for name in params.classes}
    picks = [k for k, row in enumerate(book.pages) if row["kind"] in params.classes][:96]
    for k in tqdm(picks, desc="drawing again", unit="page"):
        row = book.pages[k]
        text = f"a photo of a {row['kind']}"
        embedding, mask = embed(pipe, [text])
        with record(cross_attention(pipe.unet), embedding, mask, (16, 16), params.generate.branch) as attribution:
            image = redraw(
                row["caption"],
                image=Image.fromarray(book.images[k]),
                strength=STRENGTH,
                negative_prompt="grayscale",
                generator=torch.Generator().manual_seed(k),
                num_inference_steps=round(params.generate.steps / STRENGTH),
                guidance_scale=params.generate.guidance,
                output_type="np",
            ).images[0]
        heat = sampler.resized(word_maps(attribution.maps(), [(CLASS_TOKEN,)]), *image.shape[:2])[0]
        pixels = (image * 255).round().astype(np.uint8)
        seed = dense_crf(pixels, hard_seed(heat, refine.threshold), **refine.crf.model_dump())
        found[row["kind"]].append(iou(seed, book.masks[k] > 0))
    return {name: round(float(np.mean(ious)), 4) for name, ious in found.items()}
