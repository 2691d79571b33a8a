"""How sure a trained segmenter is of a cutout: NCDSS's ranking of generated samples.

Zhao et al., "Novel Class Discovery in Semantic Segmentation", CVPR 2022: samples are ranked by the mean normalised
entropy of the novel pixels, and only the surer share is trusted.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from mmseg.structures import SegDataSample
from numpy.typing import NDArray

from stages.parts.segmenter.files import load_segmenter


def normalised(probabilities: torch.Tensor) -> torch.Tensor:
    """-(1 / log C) Σ_c p_c log p_c over the first axis: (C, H, W) float64 -> (H, W) in [0, 1]; 0 log 0 is 0."""
    return torch.special.entr(probabilities).sum(0) / np.log(len(probabilities))


class Certainty:
    """A segmenter of stages/parts/segmenter, loaded once."""

    def __init__(self, weights: Path, device: str = "cpu") -> None:
        network, _ = load_segmenter(weights)
        self.network = network.to(device)

    @torch.inference_mode()
    def entropy(self, image: NDArray[np.uint8], mask: NDArray[np.bool_]) -> float:
        """Mean normalised entropy of an (H, W, 3) uint8 image's prediction in the mask, in [0, 1]; 1.0 for none."""
        if not mask.any():
            return 1.0
        size = image.shape[:2]
        sample = SegDataSample(metainfo={"ori_shape": size, "img_shape": size})
        pixels = torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))
        seen = self.network.test_step({"inputs": [pixels], "data_samples": [sample]})[0].seg_logits.data
        return float(normalised(seen.double().softmax(0)).cpu().numpy()[mask].mean())
