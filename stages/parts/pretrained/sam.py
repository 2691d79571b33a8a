"""SAM and its kin in transformers' layout: SAM, SAM-HQ, SAM 2 and EdgeTAM, told apart by the folder's config.json.

Kirillov et al., "Segment Anything", ICCV 2023; Ke et al., "Segment Anything in High Quality", NeurIPS 2023;
Ravi et al., "SAM 2", 2024; Zhou et al., "EdgeTAM", CVPR 2025.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray
from PIL import Image as Pictures
from transformers import (
    EdgeTamModel,
    Sam2Model,
    Sam2Processor,
    SamHQModel,
    SamHQProcessor,
    SamModel,
    SamProcessor,
)

from stages.parts.errors import GraftError
from stages.parts.masks.sam_prompts import Prompt
from stages.parts.pretrained.promptable import Candidates, Encoded, Image
from stages.parts.pretrained.weights import load, load_model

# model_type -> model and processor. The video models' checkpoints hold the image model.
KINDS: dict[str, tuple[Any, Any]] = {
    "sam": (SamModel, SamProcessor),
    "sam_hq": (SamHQModel, SamHQProcessor),
    "sam2": (Sam2Model, Sam2Processor),
    "sam2_video": (Sam2Model, Sam2Processor),
    "edgetam": (EdgeTamModel, Sam2Processor),
    "edgetam_video": (EdgeTamModel, Sam2Processor),
}

PATCH = 16


class Sam:
    """A model of one of the KINDS from its folder, with its processor."""

    def __init__(self, folder: Path, device: str = "cpu") -> None:
        model, processor = KINDS[kind(folder)]
        self.model = load_model(model, folder).to(device)
        self.processor = load(processor, folder)
        self.device = device
        self._check_sizes(folder)

    def _check_sizes(self, folder: Path) -> None:
        """A processor saved for another size would shift every point without an error, so this asks first."""
        vision, images = self.model.config.vision_config, self.processor.image_processor
        self.side = side = getattr(vision, "image_size", None) or self.model.config.prompt_encoder_config.image_size
        sizes = {*dict(images.size).values(), *dict(getattr(images, "pad_size", None) or {}).values()} - {None}
        if sizes != {side}:
            raise GraftError(
                f"{folder}: the model takes {side} px but its processor's config says {sorted(sizes)}; "
                "set size.longest_edge and pad_size there to the model's image_size"
            )

    def patch(self, image: Image) -> float:
        """A SAM 2 or EdgeTAM has no patches; its smallest grid is 1/16 of its input, as SAM's is."""
        size = getattr(self.model.config.vision_config, "patch_size", PATCH)
        return size * max(image.shape[:2]) / self.side

    @torch.inference_mode()
    def encode(self, images: Sequence[Image]) -> list[Encoded]:
        """One pass of the image encoder over (H, W, 3) uint8 RGB images of any sizes."""
        pixels = self.processor(images=[Pictures.fromarray(image) for image in images], return_tensors="pt")
        embeddings = self.model.get_image_embeddings(pixels["pixel_values"].to(self.device))
        padded = "reshaped_input_sizes" in pixels  # SAM and SAM-HQ; the others stretch an image to a square
        sizes = pixels["reshaped_input_sizes"].tolist() if padded else [(self.side, self.side)] * len(images)
        return [Encoded(image, _row(embeddings, k), (sizes[k][0], sizes[k][1])) for k, image in enumerate(images)]

    @torch.inference_mode()
    def ask(self, encoded: Encoded, prompt: Prompt) -> Candidates:
        """Three masks for one prompt, which is scaled as the image was. The processor would do that too, but only
        with the whole image once more: 21 ms for each of 512 px, as long as a GPU takes for the rest."""
        size = encoded.image.shape[:2]
        x, y = encoded.scaled[1] / size[1], encoded.scaled[0] / size[0]
        asked: dict[str, NDArray[Any]] = {}
        if len(prompt.points):
            asked = {"input_points": prompt.points * (x, y), "input_labels": prompt.labels}
        if prompt.box is not None:
            asked["input_boxes"] = prompt.box * (x, y, x, y)
        tensors = {name: torch.from_numpy(one)[None, None].to(self.device) for name, one in asked.items()}
        outputs = self.model(**_embedded(encoded.embedding), **tensors, multimask_output=True)
        sizes = {"original_sizes": [size], "reshaped_input_sizes": [encoded.scaled]}
        logits = self.processor.post_process_masks(outputs.pred_masks.float().cpu(), binarize=False, **sizes)
        return Candidates(logits[0][0].numpy(), outputs.iou_scores[0, 0].float().cpu().numpy())


def kind(folder: Path) -> str:
    """`model_type` of the folder's config.json. GraftError unless it is one of the KINDS."""
    try:
        config = json.loads((folder / "config.json").read_text())
    except (OSError, ValueError):
        raise GraftError(
            f"{folder} has no readable config.json; params.yaml refine.model must be a model's folder"
        ) from None
    found = str(config.get("model_type")) if isinstance(config, dict) else ""
    if found not in KINDS:
        raise GraftError(
            f"{folder}/config.json: model_type {found!r} takes no prompts; it must be one of {', '.join(KINDS)}"
        )
    return found


def _row(embeddings: Any, k: int) -> Any:
    """Image k's part of what an encoder gives: a tensor, or a tuple or list of tensors or of lists of them."""
    if isinstance(embeddings, torch.Tensor):
        return embeddings[k : k + 1]
    return type(embeddings)(_row(part, k) for part in embeddings)


def _embedded(embedding: Any) -> dict[str, Any]:
    """As keywords of the model: SAM-HQ's encoder alone gives a pair."""
    if isinstance(embedding, tuple):
        return {"image_embeddings": embedding[0], "intermediate_embeddings": embedding[1]}
    return {"image_embeddings": embedding}
