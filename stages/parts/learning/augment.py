"""What is done to an image before the student sees it: colour jitter and blur (DACS), hidden blocks (MIC)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as nn_functional
import torchvision.transforms.v2.functional as F
from torch import Tensor


def strong_augment(
    image: Tensor, rng: np.random.Generator, jitter_probability: float, jitter: float, blur_probability: float
) -> Tensor:
    """(3, H, W) RGB in [0, 1] -> the same. Every chance and amount comes from rng: nothing else is random.

    A third-party port has the chance of jitter upside down (20 %): 0.8 is how often it happens.
    """
    jitters, blurs = rng.random(2) < (jitter_probability, blur_probability)
    if jitters:
        image = colour_jitter(image, rng, jitter)
    if blurs:
        image = blur(image, float(rng.uniform(0.15, 1.15)))
    return image


def colour_jitter(image: Tensor, rng: np.random.Generator, amount: float) -> Tensor:
    """Brightness, contrast, saturation by a factor in 1 -+ amount, hue by -+ amount turns, in any order."""
    brightness, contrast, saturation = (float(x) for x in rng.uniform(1 - amount, 1 + amount, 3))
    hue = float(rng.uniform(-amount, amount))
    steps = (
        lambda x: F.adjust_brightness(x, brightness),
        lambda x: F.adjust_contrast(x, contrast),
        lambda x: F.adjust_saturation(x, saturation),
        lambda x: F.adjust_hue(x, hue),
    )
    for step in rng.permutation(len(steps)):
        image = steps[step](image)
    return image


def blur(image: Tensor, sigma: float) -> Tensor:
    """Gaussian blur with a kernel of a tenth of the side, made odd."""
    height, width = (side // 10 | 1 for side in image.shape[-2:])
    return F.gaussian_blur(image, [width, height], [sigma, sigma])


def block_mask(size: Sequence[int], block: int, ratio: float, rng: np.random.Generator) -> Tensor:
    """The mask of masked image consistency (MIC, Hoyer et al. 2023).

    Size (H, W) -> (H, W) float: each of round(H / block) x round(W / block) blocks is 0 with this chance,
    else 1."""
    grid = [max(1, round(side / block)) for side in size]
    kept = torch.from_numpy(rng.random(grid) > ratio).float()
    return nn_functional.interpolate(kept[None, None], tuple(size), mode="nearest")[0, 0]
