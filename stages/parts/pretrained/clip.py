"""Is the cutout an image of its class? The probability that CLIP gives the class among rivals.

Radford et al., "Learning Transferable Visual Models From Natural Language Supervision", ICML 2021, zero-shot
classification (sec. 3.1). OVAM and X-Paste filter generated objects with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from transformers import CLIPImageProcessor, CLIPModel, CLIPTokenizer

from stages.parts.pretrained.weights import load, load_model

GREY = 128


def isolate(image: NDArray[np.uint8], mask: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """The masked object, cropped to its box, centred on a grey square: (S, S, 3) uint8, S the longer side.

    Grey, so that the background cannot vote; square, so that CLIP's centre crop cuts no end off a long
    object. image: (H, W, 3) uint8; mask: (H, W) bool, not empty.
    """
    rows, columns = np.nonzero(mask)
    top, bottom, left, right = rows.min(), rows.max() + 1, columns.min(), columns.max() + 1
    crop = np.where(mask[..., None], image, np.uint8(GREY))[top:bottom, left:right]
    height, width = crop.shape[:2]
    side = max(height, width)
    square = np.full((side, side, 3), GREY, dtype=np.uint8)
    y, x = (side - height) // 2, (side - width) // 2
    square[y : y + height, x : x + width] = crop
    return square


class Clip:
    """A CLIP with the embeddings of a fixed list of texts, both loaded once."""

    def __init__(self, folder: Path, candidates: Sequence[str], device: str = "cpu") -> None:
        self.model = load_model(CLIPModel, folder).to(device)
        self.image_processor = load(CLIPImageProcessor, folder)
        self.device = device
        self.text_features = self._encode(load(CLIPTokenizer, folder), candidates)

    @torch.inference_mode()
    def _encode(self, tokenizer: CLIPTokenizer, candidates: Sequence[str]) -> torch.Tensor:
        """(texts, dim), each of length 1."""
        tokens = tokenizer(list(candidates), padding=True, truncation=True, return_tensors="pt")
        features = self.model.get_text_features(**tokens.to(self.device)).pooler_output
        return torch.nn.functional.normalize(features, dim=-1)

    @torch.inference_mode()
    def __call__(self, image: NDArray[np.uint8]) -> NDArray[np.float64]:
        """(H, W, 3) uint8 RGB -> (texts,) float64 probabilities, in the order of the texts, of sum 1."""
        pixels = self.image_processor(images=Image.fromarray(image), return_tensors="pt")["pixel_values"]
        features = self.model.get_image_features(pixel_values=pixels.to(self.device)).pooler_output
        features = torch.nn.functional.normalize(features, dim=-1)
        logits = self.model.logit_scale.exp() * (features @ self.text_features.T)[0]
        return torch.softmax(logits.double(), dim=-1).cpu().numpy()

    def class_scores(self, image: NDArray[np.uint8], mask: NDArray[np.bool_]) -> dict[str, float]:
        """class_score: the probability of the first text for the isolated object, in [0, 1]; class_margin: that less
        the largest of the others, in [-1, 1]. mask: (H, W) bool, not empty."""
        own, *others = self(isolate(image, mask))
        return {"class_score": float(own), "class_margin": float(own - max(others, default=0.0))}
