"""Backbones: what turns pictures into a frozen map of features, whatever network that is.

The interface is one call, pictures (B, 3, H, W) float32 RGB in [0, 1] -> features (B, C, h, w) float32, deterministic,
without gradients, in evaluation mode, for any H and W that the backbone does not refuse in a sentence; two pictures of
one batch do not see each other. A transformers folder or hub id is one (Dino, DINOv2, DINOv3 and the like); so is any
class of yours that is opened as `MODULE:CLASS`, called once with the device: STEGO's code, or HP's, or, as the example
here, the picture's own colours:

    primaps:
      backbone: stages.parts.pretrained.backbones:Colours
"""

from __future__ import annotations

import importlib
import inspect
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import AutoConfig, AutoImageProcessor, AutoModel
from transformers.utils import logging

from stages.parts.errors import GraftError
from stages.parts.pretrained.weights import load, load_model, locate

PARAM = "primaps.backbone"
POOLER = ("pooler.", "embeddings.mask_token")  # patch tokens do not pass them


class Backbone(Protocol):
    def __call__(self, pictures: Tensor) -> Tensor:
        """(B, 3, H, W) float32 RGB in [0, 1] -> (B, C, h, w) float32."""


class VisionTransformer:
    """The patch tokens after the last block and its layer norm (dinov1: `get_intermediate_layers(x, 1)`, without the
    class token), on a grid of H / patch by W / patch; position embeddings are interpolated.

    shifts: passes down and across, each of the picture moved by a part of a patch, interleaved to a grid that is
    finer by as much; 1 is one pass, as published."""

    def __init__(self, folder: Path, shifts: int, device: str = "cpu") -> None:
        logging.set_verbosity_error()  # of a pooler that is missing, which patch tokens do not pass
        model = load_model(AutoModel, folder, unused=POOLER)
        self.model = getattr(model, "vision_model", model).float().to(device).eval().requires_grad_(False)
        processor = load(AutoImageProcessor, folder)
        self.mean, self.std = (
            torch.tensor(values, device=device).reshape(3, 1, 1)
            for values in (processor.image_mean, processor.image_std)
        )
        self.folder, self.shifts = folder, shifts
        self.patch = int(getattr(self.model.config, "patch_size", 0) or 0)
        if not self.patch:
            raise GraftError(f"params.yaml {PARAM}: {folder} is no vision transformer with patches; name another")
        if self.patch % shifts:
            raise GraftError(
                f"params.yaml primaps.shifts: {shifts} does not divide the patch of {self.patch} pixels of {folder}"
            )

    @torch.inference_mode()
    def __call__(self, pictures: Tensor) -> Tensor:
        """As of Backbone. GraftError for a height or width that the patch does not divide."""
        batch, _, height, width = pictures.shape
        if height % self.patch or width % self.patch:
            raise GraftError(
                f"pictures of {height} x {width} pixels cannot be cut into the patches of {self.patch} pixels of "
                f"{self.folder}; set params.yaml primaps.size.multiple to {self.patch}"
            )
        normalised = (pictures.to(self.mean.device) - self.mean) / self.std
        step = self.patch // self.shifts
        before = (
            self.patch - step
        ) // 2  # so that the middle of a finer cell is the middle of the patch that looks at it
        padded = F.pad(normalised, (before, self.patch) * 2, mode="replicate")
        looks = torch.cat(
            [
                padded[..., step * y : step * y + height, step * x : step * x + width]
                for y in range(self.shifts)
                for x in range(self.shifts)
            ]
        )
        h, w = height // self.patch, width // self.patch
        fine = self._tokens(looks).reshape(self.shifts, self.shifts, batch, -1, h, w).permute(2, 3, 4, 0, 5, 1)
        return fine.reshape(batch, -1, h * self.shifts, w * self.shifts)

    def _tokens(self, pixels: Tensor) -> Tensor:
        """(B, C, patches) of one pass; class and register tokens, which come first, are left out."""
        takes = "interpolate_pos_encoding" in inspect.signature(self.model.forward).parameters
        found = self.model(pixel_values=pixels, **({"interpolate_pos_encoding": True} if takes else {}))
        patches = (pixels.shape[2] // self.patch) * (pixels.shape[3] // self.patch)
        if found.last_hidden_state.ndim != 3 or found.last_hidden_state.shape[1] < patches:
            raise GraftError(f"params.yaml {PARAM}: {self.folder} does not give a token per patch; name another")
        return found.last_hidden_state[:, -patches:].float().transpose(1, 2)


class Colours:
    """The example of a backbone of one's own, and a control that must not gain: the colours of each 2 x 2 pixels."""

    def __init__(self, device: str = "cpu") -> None:
        self.device = device

    def __call__(self, pictures: Tensor) -> Tensor:
        """(B, 3, H, W) in [0, 1] -> (B, 3, H // 2, W // 2) in [-1, 1]."""
        return 2 * F.avg_pool2d(pictures.to(self.device), 2) - 1


class Untrained:
    """A control that must not gain: the architecture of a folder with random weights."""

    def __init__(self, folder: Path, shifts: int, device: str = "cpu") -> None:
        self.trained = VisionTransformer(folder, shifts, device)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(1)
            model: nn.Module = AutoModel.from_config(AutoConfig.from_pretrained(folder, local_files_only=True))
        self.trained.model = model.to(device).eval().requires_grad_(False)

    def __call__(self, pictures: Tensor) -> Tensor:
        """As of VisionTransformer."""
        return self.trained(pictures)


def find_backbone(source: str, revision: str | None) -> Path | None:
    """Where the weights of a folder, or of a hub id at its revision in the local cache, lie, looked at but not loaded;
    None for MODULE:CLASS, which brings its own. Nothing is fetched. GraftError."""
    if ":" in source:
        return None
    if revision is None:
        return locate(source, PARAM)
    if Path(source).exists():
        raise GraftError(f"params.yaml primaps.revision: {source} is a folder, which has none; set it to null")
    from huggingface_hub import snapshot_download  # reads HF_HUB_OFFLINE as it is imported: not before it is set

    try:
        return locate(snapshot_download(source, revision=revision, local_files_only=True), PARAM)
    except (OSError, ValueError):
        raise GraftError(
            f"params.yaml {PARAM}: {source} at {revision} is not in the local hub cache; "
            f"run `hf download {source} --revision {revision}` once, or name another"
        ) from None


def open_backbone(source: str, revision: str | None, shifts: int, device: str = "cpu") -> Backbone:
    """The backbone that params.yaml names: a folder, a hub id at its revision in the local cache, or MODULE:CLASS.
    GraftError when there is none."""
    folder = find_backbone(source, revision)
    if folder is not None:
        return VisionTransformer(folder, shifts, device)
    module, _, name = source.partition(":")
    try:
        opener = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise GraftError(f"params.yaml {PARAM}: {source} cannot be imported ({error}); correct MODULE:CLASS") from None
    return opener(device)


def finite_features(backbone: Backbone, pictures: Tensor, source: str) -> Tensor:
    """The backbone's map of a batch. GraftError for NaN or infinity in it, and for anything but a map per picture."""
    features = backbone(pictures)
    if features.ndim != 4 or len(features) != len(pictures):
        raise GraftError(
            f"params.yaml {PARAM}: {source} gives {tuple(features.shape)} for {len(pictures)} pictures; "
            "a backbone gives (B, C, h, w)"
        )
    if not torch.isfinite(features).all():
        raise GraftError(f"params.yaml {PARAM}: {source} gives features that are not finite; its weights are damaged")
    return features
