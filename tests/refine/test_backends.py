"""Backends of promptable models: the `segment-anything` package for .pth checkpoints beside transformers' layout."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from transformers import SamModel

from stages.parts.errors import GraftError
from stages.parts.masks.sam_prompts import STYLES, Prompt, on_object, prompt
from stages.parts.pretrained.sam_pth import SamCheckpoint
from stages.refine.methods import open_sam
from tests.parts.pretrained.conftest import SIDE, sam_processor, tiny_sam_config

# transformers' names of SAM's parts -> segment-anything's, applied one after the other.
NAMES = (
    (r"(iou_prediction_head|mlps\.\d+)\.layers\.0", r"\1.layers.1"),
    (r"(iou_prediction_head|mlps\.\d+)\.proj_in", r"\1.layers.0"),
    (r"(iou_prediction_head|mlps\.\d+)\.proj_out", r"\1.layers.2"),
    (r"neck\.conv1", "neck.0"),
    (r"neck\.layer_norm1", "neck.1"),
    (r"neck\.conv2", "neck.2"),
    (r"neck\.layer_norm2", "neck.3"),
    (r"mask_embed\.conv1", "mask_downscaling.0"),
    (r"mask_embed\.layer_norm1", "mask_downscaling.1"),
    (r"mask_embed\.conv2", "mask_downscaling.3"),
    (r"mask_embed\.layer_norm2", "mask_downscaling.4"),
    (r"mask_embed\.conv3", "mask_downscaling.6"),
    (r"upscale_conv1", "output_upscaling.0"),
    (r"upscale_layer_norm", "output_upscaling.1"),
    (r"upscale_conv2", "output_upscaling.3"),
    (r"layer_norm", "norm"),
    (r"^vision_encoder\.layers", "image_encoder.blocks"),
    (r"^vision_encoder", "image_encoder"),
    (r"patch_embed\.projection", "patch_embed.proj"),
    (r"shared_embedding\.positional_embedding", "pe_layer.positional_encoding_gaussian_matrix"),
    (r"(?<!not_a_)point_embed\.", "point_embeddings."),
)


def published_names(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """A transformers SAM's weights under the names of a .pth checkpoint, which has the positions once."""
    renamed = {}
    for name, tensor in state.items():
        if not name.startswith("shared_image_embedding"):
            for old, new in NAMES:
                name = re.sub(old, new, name)
            renamed[name] = tensor
    return renamed


def picture(height: int, width: int, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def smooth(height: int, width: int) -> NDArray[np.uint8]:
    """Slow waves of colour: what any way of resizing keeps."""
    y, x = np.mgrid[:height, :width] / max(height, width)
    waves = [np.sin(6 * x + 4 * y), np.cos(5 * y - 3 * x), np.sin(4 * x) * np.cos(7 * y)]
    return np.rint(127.5 + 120 * np.stack(waves, axis=2)).astype(np.uint8)


def asked(style: str, height: int, width: int) -> Prompt:
    seed = np.zeros((height, width), bool)
    seed[height // 4 : height // 2, width // 4 : width // 2 + 5] = True
    return prompt(seed, style, negatives=2)


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """One random SAM, in transformers' layout and as a .pth."""
    folder = tmp_path_factory.mktemp("models") / "sam"
    config = tiny_sam_config()
    config.mask_decoder_config.num_attention_heads = 8  # as every published size has
    torch.manual_seed(1)
    model = SamModel(config).eval()
    model.save_pretrained(folder)
    sam_processor(SIDE).save_pretrained(folder)
    torch.save(published_names(model.state_dict()), folder / "sam.pth")
    return folder, folder / "sam.pth"


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize(("height", "width"), [(64, 64), (64, 40), (40, 64)])
def test_segment_anything_and_transformers_agree_on_shared_weights(
    both: tuple[Path, Path], style: str, height: int, width: int
) -> None:
    image, question = picture(height, width), asked(style, height, width)
    ours, theirs = (sam.ask(sam.encode([image])[0], question) for sam in (open_sam(path, "cpu") for path in both))
    assert np.abs(ours.logits - theirs.logits).max() < 1e-3 * np.abs(ours.logits).max()
    assert np.mean(ours.masks != theirs.masks) < 1e-3
    assert ours.predicted_iou == pytest.approx(theirs.predicted_iou, abs=1e-4)
    assert 0 < ours.masks.mean() < 1, "masks that are all empty or full would prove nothing"


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize(("height", "width"), [(96, 80), (48, 32), (200, 333)])
def test_the_backends_agree_on_images_that_have_to_be_scaled(
    both: tuple[Path, Path], style: str, height: int, width: int
) -> None:
    """Larger and smaller than what the model takes. The two packages round an image's pixels differently, so not to the
    last digits; a prompt that is not scaled with its image would move the masks far."""
    image, question = smooth(height, width), asked(style, height, width)
    ours, theirs = (sam.ask(sam.encode([image])[0], question) for sam in (open_sam(path, "cpu") for path in both))
    assert ours.logits.shape == theirs.logits.shape == (3, height, width)
    assert np.abs(ours.logits - theirs.logits).max() < 4e-2 * np.abs(ours.logits).max()
    assert np.mean(ours.masks != theirs.masks) < 1e-3
    assert ours.predicted_iou == pytest.approx(theirs.predicted_iou, abs=1e-3)
    assert 0 < ours.masks.mean() < 1, "masks that are all empty or full would prove nothing"


@pytest.mark.parametrize("kind", [0, 1])
def test_a_point_outside_of_the_image_never_raises(both: tuple[Path, Path], kind: int) -> None:
    """A view moves the image by parts of a patch, and the prompt with it."""
    sam = open_sam(both[kind], "cpu")
    encoded = sam.encode([picture(40, 64)])[0]
    for away in ((-9.0, -9.0), (70.0, 20.0), (30.0, 41.5), (1e4, -1e4)):
        found = sam.ask(encoded, on_object(np.array([away, (30.0, 20.0)])))
        assert found.logits.shape == (3, 40, 64) and np.isfinite(found.logits).all()


def test_a_checkpoints_shape_is_read_off_its_weights(both: tuple[Path, Path]) -> None:
    encoder = SamCheckpoint(both[1]).model.image_encoder
    assert (encoder.img_size, len(encoder.blocks)) == (SIDE, 2)
    assert [block.window_size for block in encoder.blocks] == [4, 0]


def test_the_small_sam_gives_the_same_masks_in_batches_as_one_by_one() -> None:
    model = open_sam(Path("models/miniature/sam"), "cpu")
    images = [picture(64, 64, seed) // 4 + np.uint8(20 * seed) for seed in range(5)]
    together = model.encode(images)
    for k, image in enumerate(images):
        one, other = (model.ask(encoded, asked("cross", 64, 64)) for encoded in (model.encode([image])[0], together[k]))
        assert np.array_equal(one.masks, other.masks)
        assert one.predicted_iou == pytest.approx(other.predicted_iou, abs=1e-5)


def test_a_pth_that_is_no_sam_is_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "other.pth"
    for content in ({"weight": torch.zeros(2)}, {"image_encoder.pos_embed": torch.zeros(1, 4, 4, 8)}):
        torch.save(content, path)
        with pytest.raises(GraftError, match=r"other\.pth holds no weights of a SAM .*; fetch sam_vit_b"):
            open_sam(path, "cpu")
    others: tuple[Any, ...] = ([torch.zeros(2)], {1: torch.zeros(2)}, {"weight": "words"}, torch.zeros(2))
    for other in others:
        torch.save(other, path)
        with pytest.raises(GraftError, match=r"other\.pth is no checkpoint of weights alone"):
            open_sam(path, "cpu")
    for bad in (b"", b"not a checkpoint", b"\x80\x02."):
        path.write_bytes(bad)
        with pytest.raises(GraftError, match=r"other\.pth is no checkpoint of weights alone"):
            open_sam(path, "cpu")


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("image_encoder.pos_embed", (1, 16, 16)),
        ("image_encoder.pos_embed", ()),
        ("image_encoder.blocks.0.attn.rel_pos_h", ()),
        ("image_encoder.blocks.0.attn.rel_pos_h", (7, 5)),
        ("image_encoder.patch_embed.proj.weight", ()),
        ("image_encoder.neck.0.weight", ()),
        ("prompt_encoder.no_mask_embed.weight", (1,)),
        ("prompt_encoder.no_mask_embed.weight", (1, 15)),
        ("mask_decoder.iou_token.weight", (1, 12)),
        ("mask_decoder.mask_tokens.weight", ()),
    ],
)
def test_a_sam_with_a_tensor_of_another_shape_is_one_sentence(
    both: tuple[Path, Path], tmp_path: Path, name: str, shape: tuple[int, ...]
) -> None:
    state = torch.load(both[1], weights_only=True)
    assert name in state
    torch.save(state | {name: torch.zeros(shape)}, tmp_path / "other.pth")
    with pytest.raises(GraftError, match=r"other\.pth holds no weights of a SAM .*; fetch sam_vit_b"):
        open_sam(tmp_path / "other.pth", "cpu")


class Hostile:
    def __reduce__(self) -> tuple[Callable[..., None], tuple[str]]:
        return print, ("this must never be printed",)


def test_nothing_is_unpickled(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save({"weight": Hostile()}, tmp_path / "hostile.pth")
    with pytest.raises(GraftError, match="no checkpoint of weights alone"):
        open_sam(tmp_path / "hostile.pth", "cpu")
    assert "never be printed" not in capsys.readouterr().out


def test_a_folder_of_another_kind_of_model_is_one_sentence(clip_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(GraftError, match=r"model_type 'clip' takes no prompts; it must be one of sam, sam_hq, sam2"):
        open_sam(clip_folder, "cpu")
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(GraftError, match=r"no readable config\.json"):
        open_sam(tmp_path, "cpu")
