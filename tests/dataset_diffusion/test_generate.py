"""Drawings: the class prompt is recorded and never drawn, and no picture depends on which others were drawn with it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from stages.dataset_diffusion import captions
from stages.dataset_diffusion.captions import TABLE
from stages.dataset_diffusion.generate import FOLDER, main
from stages.dataset_diffusion.painter import Painter, Task, blocks, drawing
from stages.dataset_diffusion.params import Generate, Params
from stages.parts.datasets.photo_shards import PhotoShards
from stages.parts.pretrained.pipeline import open_pipeline, pictures
from stages.parts.prompts.aliases import aliases_of
from stages.parts.prompts.caption_table import read_table
from stages.parts.prompts.class_words import mentioned
from stages.parts.recording import unet
from stages.parts.recording.class_maps import ClassMaps, word_maps
from stages.parts.recording.recorder import listening
from stages.parts.sections import read
from stages.parts.store.samples import npy_array, png_array
from tests.dataset_diffusion.conftest import content, fails, set_line

NAME = "caption_classes"


@pytest.fixture(scope="module")
def pipe(drawer: Path) -> Any:
    return open_pipeline(drawer, "float32", "cpu")


def how(**changes: Any) -> Generate:
    values = {
        "seed": 0, "steps": 2, "guidance": 5.0, "negative": "", "height": 64, "width": 64, "batch": 2, "per_caption": 1,
        "self_halvings": 0, "cross_halvings": 1, "dtype": "float32",
    }  # fmt: skip
    return Generate.model_validate(values | changes)


def task(classes: str, noise: int = 0, prompt: str = "a bus and a car") -> Task:
    spans = tuple((k + 1,) for k in range(len(classes.split())))
    return Task(f"{noise:06d}", prompt, classes, spans, noise)


def drawn(pipe: Any, tasks: list[Task], powers: tuple[int, ...] = (1, 4), **changes: Any) -> list[Any]:
    return Painter(Path(), how(**changes), powers).draw(pipe, tasks)


def test_the_class_prompt_is_recorded_and_changes_no_pixel(pipe: Any) -> None:
    plain = pictures(pipe, ["a bus"], [3], negative="", steps=2, guidance=5.0, height=64, width=64)
    (one,) = drawn(pipe, [task("bus", 3, "a bus")])
    (other,) = drawn(pipe, [task("person", 3, "a bus")])
    assert (one.image == (plain[0] * 255).round().astype(np.uint8)).all()
    assert (one.image == other.image).all() and (one.maps != other.maps).any()
    assert not one.rejected


@pytest.mark.parametrize(
    ("changes", "shape"),
    [
        ({}, (8, 8)),
        ({"self_halvings": 1, "cross_halvings": 2}, (4, 4)),  # C has no lower level to be had: its lowest
        ({"guidance": 1.0}, (8, 8)),
        ({"height": 64, "width": 128}, (8, 16)),
        ({"height": 128, "width": 64, "self_halvings": 1}, (8, 4)),
    ],
)
def test_maps_have_the_size_of_s_without_guidance_and_not_square_too(
    pipe: Any, changes: dict[str, Any], shape: tuple[int, int]
) -> None:
    one, other = drawn(pipe, [task("bus car", 0), task("person", 1)], **changes)
    assert one.maps.shape == (2, 2, *shape) and other.maps.shape == (2, 1, *shape)
    assert one.maps.min() == 0 and one.maps.max() == 1 and one.maps.dtype == np.float32
    assert len(one.peaks) == 2 and all(0 < peak < 1 for peak in one.peaks)


def test_a_map_is_s_to_the_tau_times_c_of_what_was_recorded(pipe: Any) -> None:
    """The maps of a power are what two runs of the recorder give by hand; rows of S and C add up to one."""
    recorded = ClassMaps(1, (8, 8), 1, self_halvings=0, cross_halvings=1)
    texts = unet.embed_padded(pipe, ["bus car"])
    layers = unet.self_attention(pipe.unet, middle=True), unet.cross_attention(pipe.unet, middle=True)
    with listening(recorded.taps(*layers, texts)):
        pictures(pipe, ["a bus"], [0], negative="", steps=2, guidance=5.0, height=64, width=64)
    own, cross = recorded.attention("S")[0], recorded.attention("C")[0]
    assert own.shape == (64, 64) and torch.allclose(own.sum(1), torch.ones(64), atol=1e-5)
    assert cross.shape == (16, 32) and torch.allclose(cross.sum(1), torch.ones(16), atol=1e-5)
    (maps,) = word_maps(recorded, [[(1,), (2,)]], [0, 2])
    wide = torch.nn.functional.interpolate(
        cross.T.reshape(1, -1, 4, 4), size=(8, 8), mode="bicubic", align_corners=False
    )[0]
    by_hand = (own @ own @ wide[2].flatten()).reshape(8, 8)
    by_hand = (by_hand - by_hand.min()) / (by_hand.max() - by_hand.min())
    assert torch.allclose(maps.maps[1, 1], by_hand, atol=1e-3)
    assert torch.allclose(maps.peaks, wide[1:3].amax((1, 2)))


def test_a_block_without_a_finished_picture_is_drawn_whole() -> None:
    tasks = [task("bus", k) for k in range(5)]
    assert [[one.noise for one in block] for block in blocks(tasks, {"000001", "000004"}, 2)] == [[0, 1], [4]]
    assert blocks(tasks, set(), 2) == []


def test_every_fault_of_a_picture_has_its_reason() -> None:
    image, maps = np.random.default_rng(0).random((4, 4, 3), np.float32), np.ones((1, 1, 2, 2), np.float32)
    broken = image.copy()
    broken[0, 0] = np.nan
    told = [
        drawing(broken, maps, [0.1], False, True),
        drawing(np.zeros_like(image), maps, [0.1], False, True),
        drawing(image, maps, [0.1], False, False),
        drawing(image, maps, [0.1], True, True),
        drawing(image, maps, [0.1], False, True),
    ]
    assert [one.rejected for one in told] == ["non_finite_image", "constant_image", "non_finite_map", "flat_map", ""]


def made(name: str = NAME) -> dict[str, bytes]:
    main([name])
    return content(FOLDER / name)


def test_the_stage_keeps_what_matches_and_a_stopped_run_ends_in_the_same_bytes(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    captions.main([])
    whole = made()
    assert made() == whole and "kept 5, made 0" in capsys.readouterr().out
    shutil.rmtree(FOLDER)
    set_line({"captions.count": 3})
    captions.main([])
    made()
    set_line({"captions.count": 5})
    captions.main([])
    capsys.readouterr()
    assert made() == whole
    assert "kept 2, made 3" in capsys.readouterr().out  # the third sat in a shorter block, whose rounding may differ


def test_a_row_tells_how_its_picture_was_made(project: Path) -> None:
    captions.main([])
    made()
    shards = PhotoShards(FOLDER / NAME)
    row, files = shards.rows[0], shards.read("000000")
    assert row["prompt"] == "a bus and a car; bus car" and row["classes"] == ["bus", "car"]
    assert row["powers"] == [0, 1, 2, 4] and row["rejected"] == ""
    assert png_array(files["image.png"]).shape == (64, 64, 3)
    assert npy_array(files["maps.npy"]).shape == (4, 2, 4, 4)


def test_the_texts_differ_and_the_noise_does_not(project: Path) -> None:
    captions.main([])
    for name, text in (("classes", "bus car"), ("caption", "a bus and a car")):
        made(name)
        assert PhotoShards(FOLDER / name).rows[0]["prompt"] == text


def test_several_pictures_of_a_caption_have_noise_of_their_own(project: Path) -> None:
    set_line({"generate.per_caption": 2})
    captions.main([])
    made()
    shards = PhotoShards(FOLDER / NAME)
    assert len(shards) == 10 and shards.rows[0]["prompt"] == shards.rows[1]["prompt"]
    one, other = (png_array(shards.read(uid)["image.png"]) for uid in ("000000", "000001"))
    assert (one != other).any()


def test_thresholds_are_no_part_of_a_drawing_and_powers_are(project: Path) -> None:
    captions.main([])
    whole = made()
    set_line({"masks.threshold": 0.55, "masks.power": 2})
    assert made() == whole
    set_line({"powers": [0, 2, 4]})
    assert made() != whole


def test_a_table_of_another_tokenizer_is_a_sentence(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    captions.main([])
    rows = [json.loads(line) for line in TABLE.read_text().splitlines()]
    rows[0]["spans"][1] = [7]
    TABLE.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert "was made for another tokenizer" in fails(main, capsys, NAME)


def test_the_tiny_project_is_valid(project: Path) -> None:
    assert read(Params).dataset_diffusion.model == "model"


def test_one_by_one_draws_every_object_that_the_captions_name_by_itself(project: Path) -> None:
    captions.main([])
    entries = read_table(TABLE, "small_voc")
    main(["one_by_one"])
    rows = PhotoShards(FOLDER / "one_by_one").rows
    assert len(rows) == len(entries), "as many drawings as with the other texts"
    mentions = [name for entry in entries for name in mentioned(entry.caption, aliases_of("small_voc"))]
    assert [row["classes"] for row in rows] == [[name] for name in mentions[: len(rows)]]
    assert all(row["prompt"].startswith("a photo of a ") for row in rows)
