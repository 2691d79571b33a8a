from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from stages.generate.__main__ import main
from stages.generate.optimisation import FLOOR, Queries, optimise
from stages.generate.sampler import Pipeline, images, load
from stages.parts.recording.ovam import record
from stages.parts.recording.recorder import listening
from stages.parts.recording.sampling import Branch, Sampling
from stages.parts.recording.unet import cross_attention, embed
from stages.parts.store.pictures import png_bytes
from stages.parts.store.samples import Shards, npy_array
from tests.generate.conftest import write

SIZE = (8, 16)
HOW = Sampling(steps=2, guidance=5.0, height=64, width=128, branch="cond")


@pytest.fixture(scope="module")
def pipe(model: Path) -> Pipeline:
    made = load(model, "float32", device="cpu")
    made.unet.requires_grad_(False)
    return made


def kept(pipe: Pipeline, branch: Branch = "cond") -> Queries:
    queries = Queries(cross_attention(pipe.unet), SIZE, branch)
    with listening(queries.taps()):
        images(pipe, ["a train"], [3], "night", HOW)
    return queries


@pytest.mark.parametrize("branch", ["cond", "uncond", "both"])
def test_maps_from_kept_queries_are_those_recorded_in_streaming_form(pipe: Pipeline, branch: Branch) -> None:
    embedding, mask = embed(pipe, ["a photo of a train"])
    with record(cross_attention(pipe.unet), embedding, mask, SIZE, branch) as attribution:
        images(pipe, ["a train"], [3], "night", HOW)
    torch.testing.assert_close(kept(pipe, branch).maps(embedding[0]), attribution.maps()[0], rtol=1e-5, atol=1e-5)


def test_the_best_iterate_is_kept_and_beats_the_start(pipe: Pipeline) -> None:
    queries, start = kept(pipe), embed(pipe, ["train"])[0][0][[0, 1]]
    mask = torch.zeros(64, 128, dtype=torch.bool)
    mask[16:48, 40:100] = True
    learned = optimise(queries, start, mask, steps=60)
    assert learned.loss < learned.first
    large = torch.nn.functional.interpolate(queries.maps(learned.embedding)[None], size=(64, 128), mode="bilinear")
    logits = (large - large.min()) / (large.max() - large.min())
    again = torch.nn.functional.cross_entropy(logits, mask.long()[None])
    assert float(again) == pytest.approx(learned.loss, rel=1e-5)
    assert learned.embedding.shape == start.shape and not learned.embedding.requires_grad


def test_the_loss_has_the_floor_of_logits_between_0_and_1() -> None:
    assert pytest.approx(math.log(1 + math.exp(-1)), abs=1e-5) == FLOOR


@pytest.mark.parametrize("value", [False, True])
def test_a_mask_without_a_boundary_teaches_nothing(pipe: Pipeline, value: bool) -> None:
    with pytest.raises(ValueError, match="nothing, or everything"):
        optimise(kept(pipe), torch.zeros(2, 16), torch.full((64, 128), value), steps=1)


def test_a_learned_embedding_takes_the_place_of_the_attribution_text(project: Path) -> None:
    """From a drawn mask to a file, and from the file into the samples: the same images with other maps."""
    main(["train"])
    before = Shards("data/generated/train")
    mask = np.zeros((64, 128), np.uint8)
    mask[16:48, 40:100] = 255
    Path("mask.png").write_bytes(png_bytes(mask))
    main(["optimise", "train", "--uid", "train-000001", "--mask", "mask.png", "--out", "data/prompts/t.safetensors"])
    assert load_file("data/prompts/t.safetensors")["embedding"].shape == (2, 16)
    path = Path("data/prompts/train.yaml")
    path.write_text(path.read_text() + "embedding: t.safetensors\n")
    images_before = [before.read(row["uid"])["image.png"] for row in before.rows]
    maps_before = [before.read(row["uid"])["attribution.npy"] for row in before.rows]
    main(["train"])
    after = Shards("data/generated/train")
    assert [row["span"] for row in after.rows] == [[1]] * 3
    assert [after.read(row["uid"])["image.png"] for row in after.rows] == images_before
    assert all(not np.array_equal(npy_array(after.read(row["uid"])["attribution.npy"]), npy_array(old))
               for row, old in zip(after.rows, maps_before, strict=True))  # fmt: skip


def test_an_embedding_of_another_model_is_one_sentence(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_file({"embedding": torch.zeros(2, 768)}, "data/prompts/t.safetensors")
    path = Path("data/prompts/train.yaml")
    path.write_text(path.read_text() + "embedding: t.safetensors\n")
    write(count=1)
    with pytest.raises(SystemExit):
        main(["train"])
    assert "holds an embedding of shape (2, 768), and this model reads (2 or more, 16)" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--mask", "mask.png"], "--mask needs --uid"),
        (["--mask", "none.png", "--uid", "x"], "none.png cannot be read as a mask"),
        ([], "data/refined/train/index.jsonl is missing"),
    ],
)
def test_nothing_to_learn_from_is_one_sentence(
    project: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], sentence: str
) -> None:
    with pytest.raises(SystemExit):
        main(["optimise", "train", "--out", "t.safetensors", *arguments])
    assert sentence in capsys.readouterr().err
