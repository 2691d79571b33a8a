"""SAM's own checkpoints (sam_vit_h_4b8939.pth and the like) through the `segment-anything` package.

The package knows three sizes by name; here every size is read off the weights, so a checkpoint needs no name.
"""

from __future__ import annotations

import pickle
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from segment_anything.modeling import ImageEncoderViT, MaskDecoder, PromptEncoder, TwoWayTransformer
from segment_anything.modeling import Sam as SegmentAnything
from segment_anything.utils.transforms import ResizeLongestSide
from torch import Tensor, nn

from stages.parts.errors import GraftError
from stages.parts.masks.sam_prompts import Prompt
from stages.parts.pretrained.promptable import Candidates, Encoded, Image

# What torch raises for bytes that are no checkpoint, or one of more than weights.
UNREADABLE = (
    OSError, EOFError, RuntimeError, ValueError, LookupError, TypeError, AttributeError, pickle.UnpicklingError,
)  # fmt: skip
# What weights of other names, ranks or sizes make the constructors below raise.
NO_SAM = (KeyError, IndexError, RuntimeError, ZeroDivisionError, ValueError, TypeError, AssertionError)
DECODER_HEADS = 8  # of every published size; no weight's shape tells
PIXEL_MEAN, PIXEL_STD = [123.675, 116.28, 103.53], [58.395, 57.12, 57.375]  # the published ones: ImageNet's


class SamCheckpoint:
    """A SAM from a .pth file: weights alone are read, nothing is unpickled."""

    def __init__(self, path: Path, device: str = "cpu") -> None:
        self.model = build(weights(path), path).eval().to(device)
        self.resize = ResizeLongestSide(self.model.image_encoder.img_size)
        self.device = device

    def patch(self, image: Image) -> float:
        size: int = self.model.image_encoder.patch_embed.proj.kernel_size[0]
        return size * max(image.shape[:2]) / self.resize.target_length

    @torch.inference_mode()
    def encode(self, images: Sequence[Image]) -> list[Encoded]:
        """One pass of the image encoder over (H, W, 3) uint8 RGB images of any sizes."""
        scaled = [torch.from_numpy(self.resize.apply_image(image)).permute(2, 0, 1) for image in images]
        pixels = torch.stack([self.model.preprocess(one.float().to(self.device)) for one in scaled])
        embeddings = self.model.image_encoder(pixels)
        sizes = [(one.shape[1], one.shape[2]) for one in scaled]
        return [Encoded(image, embeddings[k : k + 1], sizes[k]) for k, image in enumerate(images)]

    @torch.inference_mode()
    def ask(self, encoded: Encoded, prompt: Prompt) -> Candidates:
        size = encoded.image.shape[:2]
        points = boxes = None
        if len(prompt.points):
            points = (
                self._tensor(self.resize.apply_coords(prompt.points, size))[None],
                self._tensor(prompt.labels)[None],
            )
        if prompt.box is not None:
            boxes = self._tensor(self.resize.apply_boxes(prompt.box[None], size))
        sparse, dense = self.model.prompt_encoder(points, boxes, None)
        low, predicted = self.model.mask_decoder(
            encoded.embedding, self.model.prompt_encoder.get_dense_pe(), sparse, dense, multimask_output=True
        )
        logits = self.model.postprocess_masks(low, encoded.scaled, size)
        return Candidates(logits[0].float().cpu().numpy(), predicted[0].float().cpu().numpy())

    def _tensor(self, values: np.ndarray) -> Tensor:
        return torch.from_numpy(values.astype(np.float32)).to(self.device)


def weights(path: Path) -> dict[str, Tensor]:
    """The tensors of a checkpoint, by name. GraftError if the file holds anything else."""
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except UNREADABLE:
        found = None
    tensors = isinstance(found, dict) and all(isinstance(n, str) and isinstance(v, Tensor) for n, v in found.items())
    if not tensors:
        raise GraftError(
            f"{path} is no checkpoint of weights alone; params.yaml refine.model takes SAM's own .pth files"
        )
    return found


def build(state: Mapping[str, Tensor], path: Path) -> SegmentAnything:
    """The package's SAM with these weights. GraftError naming the file when they are no SAM's."""
    try:
        model = SegmentAnything(_encoder(state), _prompts(state), _decoder(state), PIXEL_MEAN, PIXEL_STD)
        model.load_state_dict(state)
    except NO_SAM as error:
        complaint = " ".join(str(error).split())[:120]
        raise GraftError(
            f"{path} holds no weights of a SAM ({complaint}); fetch sam_vit_b, sam_vit_l or sam_vit_h"
        ) from None
    return model


def _count(state: Mapping[str, Tensor], prefix: str) -> int:
    """How many numbered parts there are below `prefix`."""
    return len({name.removeprefix(prefix).split(".")[0] for name in state if name.startswith(prefix)})


def _encoder(state: Mapping[str, Tensor]) -> ImageEncoderViT:
    """Windows have shorter tables of relative positions, 2 w - 1 rows, than layers that see the whole grid."""
    _, grid, _, width = state["image_encoder.pos_embed"].shape
    patch = state["image_encoder.patch_embed.proj.weight"].shape[-1]
    depth = _count(state, "image_encoder.blocks.")
    tables = [state[f"image_encoder.blocks.{k}.attn.rel_pos_h"] for k in range(depth)]
    whole = [k for k, table in enumerate(tables) if len(table) == 2 * grid - 1]
    windows = {(len(table) + 1) // 2 for k, table in enumerate(tables) if k not in whole}
    return ImageEncoderViT(
        img_size=grid * patch, patch_size=patch, embed_dim=width, depth=depth,
        num_heads=width // tables[0].shape[1],
        mlp_ratio=len(state["image_encoder.blocks.0.mlp.lin1.bias"]) / width,
        out_chans=len(state["image_encoder.neck.0.weight"]), norm_layer=partial(nn.LayerNorm, eps=1e-6),
        use_rel_pos=True, window_size=max(windows, default=0), global_attn_indexes=tuple(whole),
    )  # fmt: skip


def _prompts(state: Mapping[str, Tensor]) -> PromptEncoder:
    grid, patch = state["image_encoder.pos_embed"].shape[1], state["image_encoder.patch_embed.proj.weight"].shape[-1]
    return PromptEncoder(
        embed_dim=state["prompt_encoder.no_mask_embed.weight"].shape[1], image_embedding_size=(grid, grid),
        input_image_size=(grid * patch, grid * patch),
        mask_in_chans=len(state["prompt_encoder.mask_downscaling.3.weight"]),
    )  # fmt: skip


def _decoder(state: Mapping[str, Tensor]) -> MaskDecoder:
    width = state["mask_decoder.iou_token.weight"].shape[1]
    transformer = TwoWayTransformer(
        depth=_count(state, "mask_decoder.transformer.layers."), embedding_dim=width, num_heads=DECODER_HEADS,
        mlp_dim=len(state["mask_decoder.transformer.layers.0.mlp.lin1.bias"]),
    )  # fmt: skip
    return MaskDecoder(
        transformer_dim=width, transformer=transformer,
        num_multimask_outputs=len(state["mask_decoder.mask_tokens.weight"]) - 1,
        iou_head_depth=_count(state, "mask_decoder.iou_prediction_head.layers."),
        iou_head_hidden_dim=len(state["mask_decoder.iou_prediction_head.layers.0.bias"]),
    )  # fmt: skip
