"""Features of a frozen encoder: of one image as a square, as CLIP was trained, or of a batch in its own proportions."""

from __future__ import annotations

import inspect
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from transformers import AutoImageProcessor, AutoModel

from stages.parts.errors import GraftError
from stages.parts.pretrained.weights import load, load_model

POOLER = ("pooler.",)  # DINO has none, and the patch tokens do not pass it


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
        found = self.model(pixel_values=pixels.to(self.device)).last_hidden_state.float().cpu().numpy()
        return self._maps(found, height, width)[0]

    @torch.inference_mode()
    def batch(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """(B, H, W, 3) uint8 RGB of one size -> (B, C, h, w) float32, in the images' own proportions.

        A vision transformer sees them as they are, its position embeddings interpolated: H and W are multiples of its
        patch, or the images are brought to the nearest that are, bilinearly; h and w count its patches. GraftError
        as of a single image."""
        height, width = images.shape[1:3]
        if self.patch:
            height, width = (max(1, round(side / self.patch)) * self.patch for side in (height, width))
        sized = [np.array(Image.fromarray(one).resize((width, height), Image.Resampling.BILINEAR)) for one in images]
        options = {"do_resize": False, "do_center_crop": False}
        pixels = self.processor(images=sized, return_tensors="pt", **options)["pixel_values"].to(self.device)
        takes = "interpolate_pos_encoding" in inspect.signature(self.model.forward).parameters
        found = self.model(pixel_values=pixels, **({"interpolate_pos_encoding": True} if takes else {}))
        return self._maps(found.last_hidden_state.float().cpu().numpy(), height, width)

    def _maps(self, found: NDArray[np.float32], height: int, width: int) -> NDArray[np.float32]:
        """What the encoder gave of a batch, (B, C, h, w) or (B, tokens, C), as maps; class and register tokens come
        first and are left out."""
        if found.ndim == 4:
            return found
        h, w = (height // self.patch, width // self.patch) if self.patch else (0, 0)
        if not 0 < h * w <= found.shape[1]:
            raise GraftError(
                f"{self.folder} gives neither a map of features nor a token per patch; "
                "params.yaml refine.primaps.encoder needs one of them"
            )
        return found[:, -h * w :].transpose(0, 2, 1).reshape(len(found), -1, h, w)

    def _size(self) -> tuple[int, int]:
        """(height, width) of what the encoder is fed."""
        side = self.processor.crop_size if getattr(self.processor, "do_center_crop", False) else self.processor.size
        if "height" in side:
            return side["height"], side["width"]
        return side["shortest_edge"], side["shortest_edge"]
