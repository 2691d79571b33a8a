"""From S and C to a label map of several classes: Dataset Diffusion's masks, in float32 and in the published order.

Nguyen et al., "Dataset Diffusion: Diffusion-based Synthetic Dataset Generation for Pixel-Level Semantic Segmentation",
NeurIPS 2023, section 3.3. With S the self-attention, C the cross-attention of the class prompt, I_k word k's tokens:

    m_k = S^tau mean_{i in I_k} Up(C_i)            Up: bicubic to S's size
    m_k <- (m_k - min m_k) / max(m_k - min m_k)    so that every word reaches 1 somewhere
    v, a = max and argmax over k of Up(m_k)        Up: bicubic to the picture's size, nothing clamped
    label = class of word a where v >= threshold, 255 (ignore) where uncertain <= v < threshold, else 0 (background)

parts/masks/propagation.py has the same for one word in float64; near a threshold the two may differ by a pixel.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from stages.parts.datasets.labels import IGNORE

FLAT = 1e-6  # contrast relative to the maximum below which a float32 map holds nothing but rounding


def word_attention(
    cross: Tensor, spans: Sequence[Sequence[int]], cross_size: tuple[int, int], size: tuple[int, int]
) -> Tensor:
    """c_k of every word at S's size: (K, *size) float32. cross: C, (h' * w', tokens) float32, rows adding up to 1."""
    enlarged = F.interpolate(cross.T.unflatten(1, cross_size)[None], size=size, mode="bicubic", align_corners=False)[0]
    return torch.stack([enlarged[list(span)].mean(0) for span in spans])


def spread(own: Tensor, words: Tensor, power: int) -> Tensor:
    """m_k = S^tau c_k: (K, h, w) float32. own: S, (h * w, h * w) float32, row = query; words: c_k, (K, h, w);
    power: tau >= 0, where 0 leaves the words as they are."""
    carried = torch.linalg.matrix_power(own, power)
    return torch.stack([(carried @ word.flatten()).unflatten(0, word.shape) for word in words])


def normalised(maps: Tensor) -> Tensor:
    """Each (h, w) map of (K, h, w) brought to [0, 1]; one without contrast becomes 0: it points nowhere."""
    raised = maps - maps.amin((1, 2), keepdim=True)
    peaks, flat = raised.amax((1, 2), keepdim=True), flat_maps(maps)[:, None, None]
    return torch.where(flat, 0.0, raised / torch.where(flat, 1.0, peaks))


def flat_maps(maps: Tensor) -> Tensor:
    """(K,) bool: which of (K, h, w) maps have no contrast beyond rounding."""
    return maps.amax((1, 2)) - maps.amin((1, 2)) <= FLAT * maps.abs().amax((1, 2))


def enlarged(maps: NDArray[np.float32], shape: Sequence[int]) -> NDArray[np.float32]:
    """(K, h, w) -> (K, H, W) with (H, W) = shape[:2]: bicubic, not clamped, so a little below 0 and above 1 too."""
    size = (shape[0], shape[1])
    return F.interpolate(torch.from_numpy(maps)[None], size=size, mode="bicubic", align_corners=False)[0].numpy()


def label_map(
    maps: NDArray[np.float32], ids: Sequence[int], threshold: float, uncertain: float, margin: float = 0.0
) -> NDArray[np.uint8]:
    """(K, H, W) float32 maps at the picture's size, and the class id of each -> (H, W) uint8 label.

    Of equals the first wins; several words of one class are channels of their own. margin: a pixel of which another
    class (another id) comes as near as that to the best becomes 255 too, if the best is no background; 0 = published.
    No map (K = 0): all background."""
    if not len(ids):
        return np.zeros(maps.shape[1:], np.uint8)
    value, best = maps.max(axis=0), maps.argmax(axis=0)
    named = np.asarray(ids, np.uint8)[best]
    label = np.where(value >= np.float32(threshold), named, np.where(value >= np.float32(uncertain), IGNORE, 0))
    if margin > 0 and len(set(ids)) > 1:
        rivals = np.where(np.asarray(ids, np.uint8)[:, None, None] == named, -np.inf, maps)
        label[(label != 0) & (value - rivals.max(axis=0) < margin)] = IGNORE
    return label.astype(np.uint8)
