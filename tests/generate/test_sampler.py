from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from stages.generate.sampler import Picture, Pipeline, load, picture, sample_block
from stages.parts.errors import GraftError
from stages.parts.prompts.grammar import Grammar
from stages.parts.prompts.prompt import draw
from stages.parts.recording.sampling import Sampling
from stages.parts.store.streams import sample_stream

SAMPLING = Sampling(steps=2, guidance=5.0, height=64, width=128, branch="cond")
RAMP = np.linspace(0, 1, 12, dtype=np.float32)


@pytest.fixture(scope="module")
def pipe(model: Path) -> Pipeline:
    return load(model, "float32")


def block(pipe: Pipeline, grammar: Grammar, seeds: list[int], sampling: Sampling = SAMPLING) -> list[Picture]:
    noise = [sample_stream(grammar.name, seed, "noise") for seed in seeds]
    return sample_block(pipe, [draw(grammar, seed) for seed in seeds], noise, grammar.negative, sampling)


def test_a_picture_has_the_asked_size_and_a_map_of_that_size(pipe: Pipeline, grammar: Grammar) -> None:
    for made in block(pipe, grammar, [0, 1]):
        assert (made.image.shape, made.image.dtype) == ((64, 128, 3), np.uint8)
        assert (made.attribution.shape, made.attribution.dtype) == ((64, 128), np.float32)
        assert made.attribution.min() >= 0
        assert (made.word, made.rejected) == ((1,), "")


def test_a_block_hangs_on_no_random_state_outside_it(pipe: Pipeline, grammar: Grammar) -> None:
    torch.manual_seed(1)
    first = block(pipe, grammar, [0, 1])
    torch.manual_seed(2)
    for one, other in zip(first, block(pipe, grammar, [0, 1]), strict=True):
        assert np.array_equal(one.image, other.image)
        assert np.array_equal(one.attribution, other.attribution)


def test_a_samples_noise_is_its_own_whatever_its_neighbours(pipe: Pipeline, grammar: Grammar) -> None:
    """To rounding, not to the bit: the shape of the batch decides how sums round."""
    together, alone = block(pipe, grammar, [0, 1, 2])[2], block(pipe, grammar, [2])[0]
    assert np.abs(together.image.astype(int) - alone.image).max() <= 1
    np.testing.assert_allclose(together.attribution, alone.attribution, rtol=1e-4)


def test_the_map_is_of_the_class_word(pipe: Pipeline, grammar: Grammar) -> None:
    """The same image, asked for another word, shows another map."""
    train, truck = (block(pipe, replace(grammar, word=word), [0])[0] for word in ("train", "truck"))
    assert np.array_equal(train.image, truck.image)
    assert not np.array_equal(train.attribution, truck.attribution)


def test_a_model_samples_without_guidance(pipe: Pipeline, grammar: Grammar) -> None:
    guided, free = (block(pipe, grammar, [0], replace(SAMPLING, guidance=scale))[0] for scale in (5.0, 1.0))
    assert free.rejected == ""
    assert not np.array_equal(guided.image, free.image)


@pytest.mark.parametrize(
    ("image", "heat", "reason"),
    [
        (RAMP, RAMP, ""),
        (RAMP, RAMP * 1e-9, ""),
        (np.zeros(12, np.float32), RAMP, "constant_image"),
        (np.full(12, 0.4, np.float32), RAMP, "constant_image"),
        (np.where(RAMP > 0.5, np.nan, RAMP), RAMP, "non_finite_image"),
        (RAMP, np.where(RAMP > 0.5, np.inf, RAMP), "non_finite_map"),
        (RAMP, np.full(12, np.nan, np.float32), "non_finite_map"),
        (RAMP, np.full(12, 0.3, np.float32), "flat_map"),
        (RAMP, np.zeros(12, np.float32), "flat_map"),
        (RAMP, 0.3 + RAMP * np.float32(1e-8), "flat_map"),
    ],
)
def test_a_useless_picture_is_marked_not_raised(image: np.ndarray, heat: np.ndarray, reason: str) -> None:
    made = picture(np.stack([image.reshape(3, 4)] * 3, 2), heat.reshape(3, 4).astype(np.float32), (1,))
    assert made.rejected == reason
    assert made.image.dtype == np.uint8
    assert np.isfinite(made.attribution).all()
    assert made.attribution.dtype == np.float32


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_gives_nearly_the_same_map(model: Path, pipe: Pipeline, grammar: Grammar, dtype: str) -> None:
    sampling = replace(SAMPLING, steps=1)
    half, full = (block(each, grammar, [0], sampling)[0] for each in (load(model, dtype), pipe))
    assert half.rejected == ""
    np.testing.assert_allclose(half.attribution, full.attribution, rtol=0.05)


@pytest.mark.parametrize(
    ("part", "start"), [("unet", "mid_block."), ("vae", "decoder.conv_out"), ("text_encoder", "final_layer_norm")]
)
def test_a_model_that_lacks_tensors_is_one_sentence(model: Path, tmp_path: Path, part: str, start: str) -> None:
    """diffusers would leave them empty and stop in the midst of moving the model, transformers make them up."""
    folder = Path(shutil.copytree(model, tmp_path / "model"))
    (path,) = (folder / part).glob("*.safetensors")
    tensors = load_file(path)
    kept = {name: tensor for name, tensor in tensors.items() if start not in name}
    assert len(kept) < len(tensors)
    save_file(kept, path, {"format": "pt"})
    with pytest.raises(GraftError, match=rf"{part}: the weights lack .*{start}.*; bring it back") as caught:
        load(folder, "float32")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("length", [0, 5, 1000, -1])
def test_a_model_that_is_cut_off_is_one_sentence(model: Path, tmp_path: Path, length: int) -> None:
    folder = Path(shutil.copytree(model, tmp_path / "model"))
    path = folder / "unet/diffusion_pytorch_model.safetensors"
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(GraftError, match="cannot be loaded") as caught:
        load(folder, "float32")
    assert "\n" not in str(caught.value)
