"""Points -> masks with SAM: Kirillov et al., "Segment Anything", ICCV 2023, through transformers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from transformers import SamModel, SamProcessor

from stages.labels import GraftError
from stages.refine.points import Points
from stages.refine.weights import load

# SAM's mask is where its logit is above 0.
MASK_THRESHOLD = 0.0


@dataclass(frozen=True)
class Candidates:
    """SAM's masks for one prompt: logits (3, H, W) float32 at image size, predicted_iou (3,) float32."""

    logits: NDArray[np.float32]
    predicted_iou: NDArray[np.float32]

    @property
    def best(self) -> int:
        """The candidate of the highest predicted IoU; the first of equals."""
        return int(np.argmax(self.predicted_iou))

    @property
    def mask(self) -> NDArray[np.bool_]:
        """(H, W) bool: the best candidate. May be empty."""
        return self.logits[self.best] > MASK_THRESHOLD


class Sam:
    """A SAM that is loaded once and segments one image per call.

    One image at a time because a convolution over a larger batch may round differently: a resumed run must
    give the bytes of an unbroken one.
    """

    def __init__(self, folder: Path, device: str = "cpu") -> None:
        self.model = load(SamModel, folder, use_safetensors=True).eval().to(device)
        self.processor = load(SamProcessor, folder)
        self.device = device
        self._check_sizes(folder)

    def _check_sizes(self, folder: Path) -> None:
        """A processor saved for another size would shift every point without an error, so this asks first."""
        side = self.model.config.vision_config.image_size
        image_processor = self.processor.image_processor
        sizes = {image_processor.size["longest_edge"], *dict(image_processor.pad_size).values()} - {None}
        if sizes != {side}:
            raise GraftError(
                f"{folder}: the model takes {side} px but its processor's config says {sorted(sizes)}; "
                "set size.longest_edge and pad_size there to the model's image_size"
            )

    @torch.inference_mode()
    def __call__(self, image: NDArray[np.uint8], points: Points) -> Candidates:
        """image: (H, W, 3) uint8 RGB; points: (n, 2) float64 (x, y), pixels of the image, all foreground."""
        inputs = self.processor(images=Image.fromarray(image), input_points=[points.tolist()], return_tensors="pt").to(
            self.device
        )
        outputs = self.model(
            pixel_values=inputs["pixel_values"], input_points=inputs["input_points"], multimask_output=True
        )
        logits = self.processor.post_process_masks(
            outputs.pred_masks.float().cpu(),
            inputs["original_sizes"].cpu(),
            inputs["reshaped_input_sizes"].cpu(),
            binarize=False,
        )
        return Candidates(logits[0][0].numpy(), outputs.iou_scores[0, 0].float().cpu().numpy())
