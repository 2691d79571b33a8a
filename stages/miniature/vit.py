"""Learn to see without a label: a small ViT that agrees with its own moving average about every place of a picture.

in    nothing but seeds: 6 000 unlabelled target streets and 6 000 unlabelled photos that no line draws
out   lines/miniature/data/models/vit (Dinov2Model and its image processor: loads as facebook/dinov2-small does)
command   python -m stages.miniature.vit        cost   6 min on a GPU, 3 hours on one core
expected  a linear probe at least 10 points of mIoU above random weights on both (metrics/miniature.json)
source    Caron et al. 2021, arXiv 2104.14294 (momentum teacher, multi-crop); Oquab et al. 2023, arXiv 2304.07193
          (Sinkhorn assignments, masked patches); that each token answers for its own place, and no loss on the class
          token, is ours: with so few pictures the class token learns where a crop lies and nothing else
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F
from torch.nn.utils import parametrize
from tqdm import tqdm
from transformers import BitImageProcessor, Dinov2Config, Dinov2Model

from stages.miniature.apprentice import Loss, train, work_folder
from stages.parts.command import command
from stages.parts.world.photos import photo
from stages.parts.world.streets import street

OUT = Path("lines/miniature/data/models/vit")
STEPS, BATCH, LR = 3300, 96, 1e-3
PICTURES, SEED = 6000, 5  # of each kind; the lines draw theirs from seed 0
SIDE, PATCH, WIDTH = 64, 4, 128
MEAN, STD = [0.5, 0.5, 0.5], [0.25, 0.25, 0.25]
GLOBAL, LOCAL = (48, 64), (24, 32)  # pixels of a crop
NEAR, FAR = (0.55, 1.0), (0.25, 0.6)  # a crop's height as a share of the picture's: global, local
LOCALS = 4
HIDDEN = 0.5  # share of the student's global tokens that blocks hide, at most
PROTOTYPES, ROUNDS = 128, 3
TEACHER_HEAT, STUDENT_HEAT = 0.05, 0.1
MOMENTUM = 0.996  # of the teacher at the start; 1 at the end
POSITION = 0.1  # scale of the position embeddings at the start: with 1 the teacher's answers collapse to position


class Scaled(nn.Module):
    """A fixed table times one number that is learned."""

    table: Tensor

    def __init__(self, table: Tensor) -> None:
        super().__init__()
        self.register_buffer("table", table)

    def forward(self, scale: Tensor) -> Tensor:
        return scale * self.table

    def right_inverse(self, table: Tensor) -> Tensor:
        return torch.tensor(POSITION)


class Student(nn.Module):
    """The ViT and the head that says, of each patch, which prototype it is."""

    def __init__(self) -> None:
        super().__init__()
        config = Dinov2Config(
            hidden_size=WIDTH, num_hidden_layers=4, num_attention_heads=4, image_size=SIDE, patch_size=PATCH
        )
        torch.manual_seed(0)
        self.vit = Dinov2Model._from_config(config, attn_implementation="eager")  # a third faster backwards on a CPU
        places = sine_cosine(SIDE // PATCH, WIDTH)
        parametrize.register_parametrization(self.vit.embeddings, "position_embeddings", Scaled(places), unsafe=True)
        self.head = nn.Sequential(nn.Linear(WIDTH, 256), nn.GELU(), nn.Linear(256, 64))
        self.prototypes = nn.Parameter(F.normalize(torch.randn(PROTOTYPES, 64), dim=1))

    def forward(self, pixels: Tensor, hidden: Tensor | None = None) -> Tensor:
        """(B, 3, H, W), hidden (B, tokens) bool -> cosines with the prototypes (B, PROTOTYPES, H / 4, W / 4)."""
        with torch.autocast(pixels.device.type, torch.bfloat16):  # half the time where the processor has bfloat16
            tokens = self.vit(pixel_values=pixels, bool_masked_pos=hidden).last_hidden_state[:, 1:]
        answers = F.normalize(self.head(tokens.float()), dim=-1) @ F.normalize(self.prototypes, dim=1).T
        rows, columns = pixels.shape[2] // PATCH, pixels.shape[3] // PATCH
        return answers.transpose(1, 2).reshape(len(pixels), -1, rows, columns)


class Pair(nn.Module):
    """A student and, as buffers, so that a checkpoint holds them, its teacher's weights."""

    def __init__(self) -> None:
        super().__init__()
        self.student = Student()
        self.names = [name for name, _ in self.student.named_parameters()]
        for k, value in enumerate(self.student.parameters()):
            self.register_buffer(f"teacher_{k}", value.detach().clone())

    @torch.no_grad()
    def follow(self, momentum: float) -> None:
        for k, value in enumerate(self.student.parameters()):
            self.get_buffer(f"teacher_{k}").lerp_(value, 1 - momentum)

    @torch.no_grad()
    def teach(self, pixels: Tensor) -> Tensor:
        weights = {name: self.get_buffer(f"teacher_{k}") for k, name in enumerate(self.names)}
        return functional_call(self.student, weights, (pixels,))


def sine_cosine(side: int, width: int) -> Tensor:
    """(1, 1 + side * side, width): a quarter each of sines and cosines of row and of column; zeros for the class."""
    rates = 1 / 10000 ** (torch.arange(width // 4) / (width // 4))
    waves = torch.arange(side)[:, None] * rates
    axis = torch.cat([waves.sin(), waves.cos()], dim=1)
    rows, columns = axis[:, None].expand(-1, side, -1), axis[None].expand(side, -1, -1)
    grid = torch.cat([rows, columns], dim=-1).reshape(1, side * side, width)
    return torch.cat([torch.zeros(1, 1, width), grid], dim=1)


@dataclass(frozen=True)
class Crop:
    """Where crops lie: centre and half of the extent (B, 2) as (x, y) in -1..1 of the picture, negative if mirrored."""

    centre: Tensor
    half: Tensor

    def places(self, size: tuple[int, int]) -> Tensor:
        """(B, h, w, 2): where in the picture the middle of each cell of an h x w grid lies."""
        theta = torch.cat([torch.diag_embed(self.half), self.centre[..., None]], dim=2)
        return F.affine_grid(theta, [len(self.centre), 1, *size], align_corners=False)

    def to(self, device: torch.device) -> Crop:
        return Crop(self.centre.to(device), self.half.to(device))

    def repeated(self, times: int) -> Crop:
        return Crop(self.centre.repeat(times, 1), self.half.repeat(times, 1))

    def within(self, places: Tensor) -> Tensor:
        """Places of the picture as places of the crop, inside of which they are -1..1."""
        return (places - self.centre[:, None, None]) / self.half[:, None, None]


def crops(rng: np.random.Generator, count: int, share: tuple[float, float], aspect: float) -> Crop:
    """Random crops, four wide and three high, of pictures whose width is `aspect` times their height."""
    height = rng.uniform(*share, count)
    height = np.minimum(height, aspect * 3 / 4)
    half = np.stack([height * 4 / 3 / aspect, height], axis=1)
    centre = rng.uniform(-1, 1, (count, 2)) * (1 - half)
    half[:, 0] *= np.where(rng.random(count) < 0.5, -1, 1)
    return Crop(torch.from_numpy(centre).float(), torch.from_numpy(half).float())


def coloured(images: Tensor, rng: np.random.Generator) -> Tensor:
    """(B, 3, H, W) in 0..1, each with other brightness, contrast, saturation and tint, normalised by MEAN and STD."""

    def uniform(low: float, high: float, channels: int = 1) -> Tensor:
        return torch.from_numpy(rng.uniform(low, high, (len(images), channels, 1, 1))).float().to(images.device)

    grey, mean = images.mean(1, keepdim=True), images.mean((1, 2, 3), keepdim=True)
    images = grey + (images - grey) * uniform(0.4, 1.4)
    images = mean + (images - mean) * uniform(0.7, 1.3)
    images = (images * uniform(0.7, 1.3) * uniform(0.9, 1.1, 3)).clamp(0, 1)
    mean, std = (torch.tensor(each, device=images.device).view(3, 1, 1) for each in (MEAN, STD))
    return (images - mean) / std


def blocks(rng: np.random.Generator, count: int) -> Tensor:
    """(count, tokens) bool: rectangles that hide 0 to HIDDEN of the tokens of a global crop."""
    rows, columns = GLOBAL[0] // PATCH, GLOBAL[1] // PATCH
    hidden = np.zeros((count, rows, columns), bool)
    for each, share in zip(hidden, rng.uniform(0, HIDDEN, count), strict=True):
        while each.mean() < share - 0.03:
            h, w = rng.integers(2, 6, 2)
            y, x = rng.integers(rows - h + 1), rng.integers(columns - w + 1)
            each[y : y + h, x : x + w] = True
    return torch.from_numpy(hidden.reshape(count, -1))


def sinkhorn(cosines: Tensor) -> Tensor:
    """(tokens, PROTOTYPES) -> assignments of the same shape: each token's sum is 1, each prototype's about equal."""
    share = (cosines / TEACHER_HEAT).exp()
    for _ in range(ROUNDS):
        share = share / share.sum(0, keepdim=True)
        share = share / share.sum(1, keepdim=True)
    return share


def agreement(pair: Pair, kinds: Sequence[Tensor]) -> Loss:
    """Cross-entropy of the student's answer, in five crops of its own, to the teacher's at the same places.

    kinds: (N, 3, H, W) uint8 pictures, a tensor for each of their sizes; a batch has as many of each."""

    def loss(step: int, rng: np.random.Generator, noise: torch.Generator) -> Tensor:
        pair.follow(1 - (1 - MOMENTUM) * (math.cos(math.pi * step / STEPS) + 1) / 2)
        count, device = BATCH // len(kinds), kinds[0].device
        picks = [torch.from_numpy(rng.integers(len(kind), size=count)).to(kind.device) for kind in kinds]
        batch = [kind[chosen].float() / 255 for kind, chosen in zip(kinds, picks, strict=True)]
        aspects = [kind.shape[3] / kind.shape[2] for kind in kinds]

        def view(share: tuple[float, float], size: tuple[int, int], times: int = 1) -> tuple[Tensor, Crop]:
            found = [crops(rng, count, share, aspect).to(device) for _ in range(times) for aspect in aspects]
            cut = [
                F.grid_sample(images, crop.places(size), padding_mode="reflection", align_corners=False)
                for images, crop in zip(batch * times, found, strict=True)
            ]
            joined = Crop(torch.cat([crop.centre for crop in found]), torch.cat([crop.half for crop in found]))
            return coloured(torch.cat(cut), rng), joined

        pixels, seen = view(NEAR, GLOBAL)
        answers = pair.teach(pixels)
        tokens = answers.permute(0, 2, 3, 1).reshape(-1, PROTOTYPES)
        target = sinkhorn(tokens).reshape(answers.permute(0, 2, 3, 1).shape).permute(0, 3, 1, 2)
        total, places = torch.zeros((), device=device), torch.zeros((), device=device)
        for share, size, times in ((NEAR, GLOBAL, 1), (FAR, LOCAL, LOCALS)):
            pixels, crop = view(share, size, times)
            cosines = pair.student(pixels, blocks(rng, len(pixels)).to(device) if size == GLOBAL else None)
            where = seen.repeated(times).within(crop.places((cosines.shape[2], cosines.shape[3])))
            wanted = F.grid_sample(target.repeat(times, 1, 1, 1), where, padding_mode="border", align_corners=False)
            inside = (where.abs().amax(-1) <= 1).float()
            total = total - ((wanted * F.log_softmax(cosines / STUDENT_HEAT, dim=1)).sum(1) * inside).sum()
            places = places + inside.sum()
        return total / places.clamp(min=1)

    return loss


def pictures() -> list[Tensor]:
    """Streets (N, 3, 64, 128) and photos (N, 3, 64, 64), uint8; their labels are not looked at."""

    numbers = tqdm(range(PICTURES), desc="taking pictures", unit="pair")
    pairs = [(street(k, SEED, "target", SIDE, 2 * SIDE)[0], photo(k, SEED, "train", SIDE).image) for k in numbers]
    return [torch.from_numpy(np.stack([each[k] for each in pairs])).permute(0, 3, 1, 2).contiguous() for k in (0, 1)]


@command
def main(argv: Sequence[str] | None = None) -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args(argv)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    pair, kinds = Pair(), [kind.to(device) for kind in pictures()]
    train(pair, agreement(pair, kinds), title="vit", steps=STEPS, lr=LR, folder=work_folder("vit"), device=device)
    vit = pair.student.vit
    parametrize.remove_parametrizations(vit.embeddings, "position_embeddings")
    vit.save_pretrained(OUT)
    BitImageProcessor(
        size={"shortest_edge": SIDE}, crop_size={"height": SIDE, "width": SIDE}, image_mean=MEAN, image_std=STD
    ).save_pretrained(OUT)


if __name__ == "__main__":
    main()
