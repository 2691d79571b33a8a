"""A model of another kind, of other sizes or without its tokenizer is refused before anything is loaded."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from stages.parts.errors import GraftError
from stages.parts.pretrained import diffusion
from stages.parts.pretrained.header import KINDS, PROMPTABLE, check_file, check_model
from stages.parts.pretrained.weights import locate

MODELS = Path(__file__).parents[3] / "models/miniature"


def edited(path: Path, **changes: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def resized(folder: Path, end: str) -> None:
    path = folder / "model.safetensors"
    tensors = load_file(path)
    name = next(name for name in tensors if name.endswith(end))
    save_file(tensors | {name: np.zeros((3, 5), np.float32)}, path)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:900])


FAULTS: dict[str, tuple[str, Callable[[Path], object], str]] = {
    "no tokenizer": ("clip", lambda f: (f / "tokenizer.json").unlink(), "neither tokenizer.json nor vocab.json"),
    "half a tokenizer": ("clip", lambda f: shutil.move(f / "tokenizer.json", f / "vocab.json"), "has neither"),
    "empty tokenizer": ("clip", lambda f: (f / "tokenizer.json").write_text("{}"), "do not belong together"),
    "damaged tokenizer": ("clip", lambda f: (f / "tokenizer.json").write_text("{"), "is damaged"),
    "words of another model": (
        "clip",
        lambda f: (f / "tokenizer.json").write_text(json.dumps({"model": {"vocab": {"a": 0, "b": 49_407}}})),
        "do not belong together",
    ),
    "no processor": ("clip", lambda f: (f / "preprocessor_config.json").unlink(), "no preprocessor_config.json"),
    "a SAM as CLIP": ("sam", lambda f: None, "says model_type 'sam'; it must be one of clip"),
    "weights of another size": ("clip", lambda f: resized(f, "token_embedding.weight"), r"has the shape \(3, 5\)"),
    "another projection": ("clip", lambda f: resized(f, "visual_projection.weight"), r"has the shape \(3, 5\)"),
    "weights of another model": (
        "clip", lambda f: shutil.copy(MODELS / "sam/model.safetensors", f / "model.safetensors"), "the weights lack",
    ),
    "a config that is a list": ("clip", lambda f: (f / "config.json").write_text("[]"), "holds no table"),
    "cut off": ("clip", lambda f: cut(f / "model.safetensors"), "is damaged"),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_a_clip_that_would_score_noise_is_refused(tmp_path: Path, fault: str) -> None:
    model, breaking, words = FAULTS[fault]
    shutil.copytree(MODELS / model, tmp_path / "m")
    breaking(tmp_path / "m")
    with pytest.raises(GraftError, match=words):
        locate(str(tmp_path / "m"), "refine.clip")


def test_a_clip_is_no_sam_and_each_shipped_model_is_itself(tmp_path: Path) -> None:
    with pytest.raises(GraftError, match="says model_type 'clip'; it must be one of sam"):
        check_model(MODELS / "clip", "refine.model")
    check_model(MODELS / "clip", "refine.clip")
    check_model(MODELS / "sam", "refine.model")
    diffusion.check(MODELS / "diffusion")


def test_the_kinds_are_those_that_can_be_asked() -> None:
    from stages.parts.pretrained.sam import KINDS as ASKED

    assert tuple(ASKED) == PROMPTABLE and "refine.model" in KINDS


@pytest.mark.parametrize("content", [b"", b"\x80", b"PK\x03\x04 cut off", b"<html>not found</html>"])
def test_a_pth_that_holds_no_weights_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "sam.pth").write_bytes(content)
    with pytest.raises(GraftError, match=r"sam\.pth is empty, cut off or no file of weights"):
        check_file(tmp_path / "sam.pth")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"_class_name": ["StableDiffusionPipeline"]}, "this stage can record"),
        ({"_class_name": None}, "this stage can record"),
        ({"scheduler": None}, "names no scheduler"),
        ({"scheduler": "DDIMScheduler"}, "names no scheduler"),
        ({"unet": {"a": 1}}, "names no model of diffusers"),
    ],
)
def test_a_senseless_index_of_a_pipeline_is_a_sentence(tmp_path: Path, change: dict, words: str) -> None:
    shutil.copytree(MODELS / "diffusion", tmp_path / "m")
    edited(tmp_path / "m/model_index.json", **change)
    with pytest.raises(GraftError, match=words):
        diffusion.check(tmp_path / "m")


def test_a_pipeline_knows_how_many_steps_it_can_take() -> None:
    assert diffusion.most_steps(MODELS / "diffusion") == 1000
