"""Attribution map + frozen features -> mask: PriMaPs with the map's peak in the place of the principal direction.

Hahn et al., "Boosting Unsupervised Semantic Segmentation with Principal Mask Proposals", TMLR 2024, steps 2 to 4 of
its mask proposal for one mask. The paper finds the seed by a PCA of all features and so one region after the other;
here the word's attribution map says where the object is.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from transformers import AutoImageProcessor, AutoModel

from stages.parts.errors import GraftError
from stages.parts.pretrained.weights import load, load_model

CELLS = 5  # the peak of the map: as many cells
POOLER = ("pooler.",)  # DINO has none, and the patch tokens do not pass it
TOUCHING = 0.5  # a region counts if it holds a cell of at least this share of the map's maximum


def principal_mask(
    features: NDArray[np.float32], attribution: NDArray[np.float32], similarity: float
) -> NDArray[np.bool_]:
    """The region that looks like what the map points at most.

    features: (C, h, w); attribution: (H, W) float32 in [0, 1], maximum 1. The features are centred, as for the
    paper's PCA: what all cells share says nothing. The direction v is the mean unit feature of the CELLS cells where
    the map is highest; a cell belongs if its cosine with v is at least `similarity`; of the 8-connected regions those
    count that the map touches. The cosine, enlarged bilinearly, decides at image size: (H, W) bool. Empty when the map
    is 0 or the features have no contrast.
    """
    size = features.shape[1:]
    coarse = cv2.resize(attribution, size[::-1], interpolation=cv2.INTER_AREA)
    centred = features - features.mean(axis=(1, 2), keepdims=True)
    norms = np.linalg.norm(centred, axis=0)
    unit = np.divide(centred, norms, out=np.zeros_like(centred), where=norms > 0)
    peak = np.argsort(-coarse.reshape(-1), kind="stable")[:CELLS]
    direction = unit.reshape(len(unit), -1)[:, peak].mean(axis=1)
    length = np.linalg.norm(direction)
    if not (attribution.any() and length > 0):
        return np.zeros(attribution.shape, dtype=np.bool_)
    cosine = np.tensordot(direction / length, unit, axes=1).astype(np.float32)
    fine = cv2.resize(cosine, attribution.shape[::-1], interpolation=cv2.INTER_LINEAR)
    return touched(fine >= similarity, attribution >= TOUCHING)


def touched(mask: NDArray[np.bool_], by: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The 8-connected parts of an (H, W) bool mask that share a pixel with `by`."""
    _, parts = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)
    return mask & np.isin(parts, np.unique(parts[mask & by]))


class Features:
    """A frozen encoder: the last patch tokens of a vision transformer (CLIP, DINO, DINOv2, ...), or the last map of a
    network that has one (ResNet, ConvNeXt, ...)."""

    def __init__(self, folder: Path, device: str = "cpu") -> None:
        model = load_model(AutoModel, folder, unused=POOLER)
        self.model = getattr(model, "vision_model", model).to(device)
        self.processor = load(AutoImageProcessor, folder)
        self.device, self.folder = device, folder
        config = getattr(self.model.config, "vision_config", self.model.config)
        self.patch: int | None = getattr(config, "patch_size", None)

    @torch.inference_mode()
    def __call__(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """(H, W, 3) uint8 RGB -> (C, h, w) float32: the image as a square, its map or its patch tokens without class
        token. GraftError for an encoder that gives neither."""
        height, width = self._size()
        square = Image.fromarray(image).resize((width, height), Image.Resampling.BICUBIC)
        pixels = self.processor(images=square, return_tensors="pt", do_resize=False)["pixel_values"]
        found = self.model(pixel_values=pixels.to(self.device)).last_hidden_state[0].float().cpu().numpy()
        if found.ndim == 3:
            return found
        h, w = (height // self.patch, width // self.patch) if self.patch else (0, 0)
        if not 0 < h * w <= len(found):
            raise GraftError(
                f"{self.folder} gives neither a map of features nor a token per patch; "
                "params.yaml refine.primaps.encoder needs one of them"
            )
        return found[-h * w :].T.reshape(-1, h, w)

    def _size(self) -> tuple[int, int]:
        """(height, width) of what the encoder is fed."""
        side = self.processor.crop_size if getattr(self.processor, "do_center_crop", False) else self.processor.size
        if "height" in side:
            return side["height"], side["width"]
        return side["shortest_edge"], side["shortest_edge"]
