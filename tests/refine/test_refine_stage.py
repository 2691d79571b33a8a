"""The stage on a tiny generated folder: each sample gets a row, a bad one a reason; resume costs no byte."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from ruamel.yaml import YAML

from stages.parts.masks.sam_prompts import prompt
from stages.parts.pretrained.clip import Clip
from stages.parts.pretrained.sam import Sam
from stages.parts.prompts.zero_shot import texts
from stages.parts.store.samples import Sample, Shards, build, npy_bytes, png_array, png_bytes
from stages.refine.__main__ import COLUMNS, main
from stages.refine.methods import Attention, Prompted
from stages.refine.refiner import Raw, Refiner
from tests.imported import heavy_imports

ROOT = Path(__file__).parents[2]
# The published weights, spatial sigmas for 64 px; pinned, so that retuning params.yaml breaks no test.
CRF = {
    "iterations": 5, "bilateral_weight": 10.0, "bilateral_xy": 15.0, "bilateral_rgb": 13.0,
    "gaussian_weight": 3.0, "gaussian_xy": 1.0,
}  # fmt: skip

PUBLISHED = {
    "method": "sam", "prompt": "cross", "negatives": 0, "choose": "predicted_iou", "views": 1, "ring": 0, "batch": 1,
    "snap": CRF | {"iterations": 0},
}  # fmt: skip


def picture(seed: int) -> NDArray[np.uint8]:
    """A bright block on dark ground, both with some noise."""
    image = np.random.default_rng(seed).integers(0, 30, (64, 64, 3))
    image[20:44, 12:50] += 180
    return image.astype(np.uint8)


def attribution(level: float) -> NDArray[np.float32]:
    heat = np.full((64, 64), 0.1 * level, np.float32)
    heat[22:42, 14:48] = level
    return heat


# uid -> what `generate` left: good, rejected there, pointing nowhere, good
GENERATED = {
    "bus-000000": (picture(0), attribution(3.0), ""),
    "bus-000001": (np.zeros((64, 64, 3), np.uint8), attribution(1.0), "constant"),
    "bus-000002": (picture(2), attribution(0.0), ""),
    "bus-000003": (picture(3), attribution(0.5), ""),
}


def generate(folder: Path, uids: list[str]) -> None:
    def make(missing: list[str]) -> list[Sample]:
        made = []
        for uid in missing:
            image, heat, rejected = GENERATED[uid]
            files = {"image.png": png_bytes(image), "attribution.npy": npy_bytes(heat)}
            made.append(Sample(uid, "k", {"rejected": rejected}, files))
        return made

    build(folder / "data/generated/bus", dict.fromkeys(uids, "k"), make, title="generate bus")


def edit_params(folder: Path, **refine: Any) -> None:
    content = YAML(typ="safe", pure=True).load((ROOT / "params.yaml").read_text())
    content |= {"classes": ["truck", "bus", "train"]}
    content["refine"] |= PUBLISHED | {"threshold": 0.45, "crf": CRF} | refine
    with open(folder / "params.yaml", "w") as file:
        YAML(typ="safe", pure=True).dump(content, file)


@pytest.fixture
def place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sam_folder: Path, clip_folder: Path
) -> Callable[[str], Path]:
    """Makes a work folder with params and generated samples, and goes there."""

    def make(name: str, **refine: Any) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        edit_params(folder, model=str(sam_folder), clip=str(clip_folder), **refine)
        generate(folder, list(GENERATED))
        monkeypatch.chdir(folder)
        return folder

    return make


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def table(folder: Path) -> list[dict[str, str]]:
    with open(folder / "data/refined/bus/scores.csv", newline="") as file:
        return list(csv.DictReader(file))


def test_every_sample_gets_a_row_and_bad_ones_a_reason(place: Callable[[str], Path]) -> None:
    folder = place("a")
    main(["bus"])
    rows = table(folder)
    assert [row["uid"] for row in rows] == sorted(GENERATED)
    assert [row["reason"] for row in rows] == ["", "constant", "empty_seed", ""]
    assert tuple(rows[0]) == COLUMNS
    for row in rows:
        scores = [row[column] for column in COLUMNS[2:] if column not in ("entropy", "phash")]
        assert all(np.isfinite(list(map(float, scores)))) if not row["reason"] else not any(scores)
        assert (len(row["phash"]), row["entropy"]) == (0 if row["reason"] else 16, "")


def test_files_are_the_image_as_it_was_masks_of_0_and_255_and_the_map(place: Callable[[str], Path]) -> None:
    place("a")
    main(["bus"])
    for row, files in Shards("data/refined/bus"):
        image, heat, _ = GENERATED[row["uid"]]
        assert set(files) == {"image.png", "mask.png", "seed.png", "attribution.png"}
        assert np.array_equal(png_array(files["image.png"]), image)
        for name in ("mask.png", "seed.png"):
            array = png_array(files[name])
            assert array.shape == (64, 64)
            assert set(np.unique(array)) <= {0, 255}
            assert array.any() == (row["reason"] == "")
        expected = np.rint(heat / heat.max() * 255) if heat.max() else heat
        assert np.abs(png_array(files["attribution.png"]) - expected).max() <= 1


def test_seed_is_the_block_that_the_map_points_at(place: Callable[[str], Path]) -> None:
    place("a")
    main(["bus"])
    seed = png_array(Shards("data/refined/bus").read("bus-000000")["seed.png"]) > 0
    block = np.zeros((64, 64), bool)
    block[20:44, 12:50] = True
    assert (seed & block).sum() / (seed | block).sum() > 0.8


def test_the_table_is_the_index_and_the_pixels(place: Callable[[str], Path], sam_folder: Path) -> None:
    folder = place("a")
    main(["bus"])
    shards = Shards("data/refined/bus")
    for line, row in zip(table(folder), shards.rows, strict=True):
        assert all(line[column] == str(row.get(column, "")) for column in COLUMNS)
    files = shards.read("bus-000003")
    mask, seed = (png_array(files[name]) > 0 for name in ("mask.png", "seed.png"))
    row = shards.rows[3]
    assert row["area"] == mask.mean()
    assert row["agreement"] == (mask & seed).sum() / (mask | seed).sum()
    sam = Sam(sam_folder)
    candidates = sam.ask(sam.encode([GENERATED["bus-000003"][0]])[0], prompt(seed, "cross"))
    assert row["predicted_iou"] == candidates.predicted_iou.max()
    assert np.array_equal(candidates.masks[row["candidate"]], mask)


def test_two_runs_from_nothing_and_a_repeated_one_give_equal_bytes(
    place: Callable[[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    first = place("a")
    main(["bus"])
    once = contents(first / "data/refined")
    main(["bus"])
    assert "refine bus: kept 4, made 0" in capsys.readouterr().out
    assert contents(first / "data/refined") == once
    second = place("b")
    main(["bus"])
    assert contents(second / "data/refined") == once


def test_samples_that_come_later_are_made_alone_and_leave_the_same_bytes(
    place: Callable[[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    whole = place("a")
    main(["bus"])
    grown = place("b")
    generate(grown, ["bus-000000", "bus-000002"])
    main(["bus"])
    assert [row["uid"] for row in table(grown)] == ["bus-000000", "bus-000002"]
    generate(grown, list(GENERATED))
    main(["bus"])
    assert "refine bus: kept 2, made 2" in capsys.readouterr().out
    assert contents(grown / "data/refined") == contents(whole / "data/refined")


@pytest.mark.parametrize("batch", [1, 2])
def test_names_that_end_alike_are_samples_of_their_own(
    place: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, batch: int
) -> None:
    """Imported ones: their names are their makers' business, and so is what a number in them means."""
    images = {"bus-000001": picture(5), "bus-1": picture(6), "bus-city-1": picture(7), "bus-town-1": picture(8)}
    for uid, image in images.items():
        monkeypatch.setitem(GENERATED, uid, (image, attribution(1.0), ""))
    folder = place("a", method="attention", batch=batch)
    main(["bus"])
    assert {row["uid"] for row in table(folder)} >= images.keys()
    refined = Shards("data/refined/bus")
    for uid, image in images.items():
        assert np.array_equal(png_array(refined.read(uid)["image.png"]), image)


@pytest.mark.parametrize("change", ["threshold", "sam", "class_texts"])
def test_what_makes_a_sample_is_in_its_key(
    place: Callable[[str], Path], capsys: pytest.CaptureFixture[str], tmp_path: Path, sam_folder: Path,
    clip_folder: Path, change: str,
) -> None:  # fmt: skip
    folder = place("a")
    main(["bus"])
    paths = {"model": str(sam_folder), "clip": str(clip_folder)}
    if change == "threshold":
        edit_params(folder, **paths, threshold=0.3)
    if change == "sam":
        other = tmp_path / "other"
        other.mkdir()
        for path in sam_folder.iterdir():
            (other / path.name).write_bytes(path.read_bytes())
        edit_params(folder, **(paths | {"model": str(other)}))
        main(["bus"])
        assert "kept 4, made 0" in capsys.readouterr().out, "the same weights elsewhere are the same weights"
        (other / "config.json").write_text((other / "config.json").read_text() + "\n")
    if change == "class_texts":
        (folder / "data/refined/bus").rename(folder / "data/refined/train")
        (folder / "data/generated/bus").rename(folder / "data/generated/train")
    main(["train" if change == "class_texts" else "bus"])
    assert "kept 0, made 4" in capsys.readouterr().out


def test_an_empty_mask_is_a_reason(sam_folder: Path, clip_folder: Path) -> None:
    """A SAM that finds nothing anywhere: with its last layer at 0, so is every logit, and 0 is background."""
    sam = Sam(sam_folder)
    for layers in sam.model.mask_decoder.output_hypernetworks_mlps:
        torch.nn.init.zeros_(layers.proj_out.weight)
        torch.nn.init.zeros_(layers.proj_out.bias)
    published = Prompted(sam, "cross", 0, "predicted_iou", 1, CRF | {"iterations": 0}, 1)
    refiner = Refiner(published, Clip(clip_folder, texts("bus")), 0.45, CRF, 0)
    refined = refiner({0: Raw(picture(0), attribution(1.0))})[0]
    assert (refined.reason, refined.scores) == ("empty_mask", {})
    assert refined.seed.any() and not refined.mask.any()


@pytest.mark.parametrize(
    ("argument", "refine", "sentence"),
    [
        ("tram", {}, "params.yaml classes: 'tram' is not among truck, bus, train"),
        ("truck", {}, "data/generated/truck/index.jsonl is missing"),
        ("bus", {"model": "models/none"}, "params.yaml refine.model: 'models/none' is neither a folder"),
        ("bus", {"clip": "models/none"}, "params.yaml refine.clip: 'models/none' is neither a folder"),
    ],
)
def test_bad_input_is_one_sentence_before_any_work(
    place: Callable[..., Path], capsys: pytest.CaptureFixture[str], sam_folder: Path, clip_folder: Path,
    argument: str, refine: dict[str, str], sentence: str,
) -> None:  # fmt: skip
    folder = place("a")
    edit_params(folder, **({"model": str(sam_folder), "clip": str(clip_folder)} | refine))
    capsys.readouterr()
    with pytest.raises(SystemExit) as stop:
        main([argument])
    assert stop.value.code == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: {sentence}") and error.count("\n") == 1
    assert not (folder / "data/refined").exists()


def test_a_published_mask_is_scored_and_kept_as_it_is(clip_folder: Path) -> None:
    """No model doubts it, so no column of a model's opinion is filled; beside it a drawn sample goes its own way."""
    clip = Clip(clip_folder, texts("bus"))
    refiner = Refiner(Attention(), clip, 0.6, CRF, 0)
    mask = np.zeros((64, 64), np.bool_)
    mask[10:30, 12:40] = True  # not what attention would find
    given = {0: Raw(picture(0), mask.astype(np.float32), mask=mask), 1: Raw(picture(1), attribution(1.0))}
    nothing = Raw(picture(0), np.zeros((64, 64), np.float32), mask=mask & False)
    refined = refiner(given | {2: nothing})
    assert (refined[0].mask == mask).all() and (refined[0].seed == mask).all() and not refined[0].reason
    assert refined[0].scores["area"] == mask.mean() and refined[0].scores["agreement"] == 1.0
    assert {name: refined[0].scores[name] for name in clip.class_scores(picture(0), mask)} == clip.class_scores(
        picture(0), mask
    )
    assert "predicted_iou" not in refined[0].scores
    assert not refined[1].reason and (refined[1].mask != mask).any()
    assert refined[2].reason


def test_a_run_with_nothing_to_make_loads_no_model_and_not_what_runs_one(place: Callable[[str], Path]) -> None:
    folder = place("a")
    main(["bus"])
    before = contents(folder)
    assert heavy_imports("stages.refine", "bus", folder=folder) == set()
    assert contents(folder) == before
