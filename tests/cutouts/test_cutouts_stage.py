"""The stage: one bank per recipe from keep-lists and masks; an equal bank is equal bytes."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from ruamel.yaml import YAML

from stages.cutouts.__main__ import main
from stages.parts.store.samples import Sample, Shards, build, png_array, png_bytes
from stages.refine.sample import cut

ROOT = Path(__file__).parents[2]
KEPT = {"bus": [0, 2, 3], "train": [1, 2], "truck": [0, 3]}
BUS_CSV, BUS_INDEX = "data/cleaned/bus.csv", "data/refined/bus/index.jsonl"
TRAIN_IDS = {"bus": 15, "train": 16, "truck": 14}


def picture(name: str, k: int) -> NDArray[np.uint8]:
    return np.random.default_rng([len(name), ord(name[1]), k]).integers(0, 256, (24, 32, 3), dtype=np.uint8)


def outline(k: int) -> NDArray[np.bool_]:
    """A plus, wider for higher k; nothing for k = 1 of no kept class."""
    mask = np.zeros((24, 32), bool)
    mask[10, 5 : 12 + 2 * k] = mask[6 : 15 + k, 8] = True
    return mask


def write_keep_list(folder: Path, name: str, kept: list[int]) -> None:
    lines = [f"{name}-{k:06d},{int(k in kept)},{'' if k in kept else 'ragged'}\n" for k in range(4)]
    (folder / f"data/cleaned/{name}.csv").write_text("uid,kept,reason\n" + "".join(lines))


def write_params(folder: Path, seed: int) -> None:
    content = YAML(typ="safe", pure=True).load((ROOT / "params.yaml").read_text())
    content |= {"classes": ["truck", "bus", "train"], "cutouts": {"seed": seed}}
    with open(folder / "params.yaml", "w") as file:
        YAML(typ="safe", pure=True).dump(content, file)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A work folder with params, the refined samples of three classes and their keep-lists."""
    write_params(tmp_path, seed=0)
    (tmp_path / "data/cleaned").mkdir(parents=True)
    for name, kept in KEPT.items():
        refined = {f"{name}-{k:06d}": (picture(name, k), outline(k)) for k in range(4)}
        build_refined(tmp_path, name, refined)
        write_keep_list(tmp_path, name, kept)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def build_refined(
    folder: Path, name: str, refined: dict[str, tuple[NDArray[np.uint8], NDArray[np.bool_]]], score: float = 0.9
) -> None:
    def make(uids: list[str]) -> list[Sample]:
        files = {uid: {"image.png": png_bytes(image), "mask.png": png_bytes(mask.astype(np.uint8) * 255)}
                 for uid, (image, mask) in refined.items()}  # fmt: skip
        scores = {"reason": "", "class_score": score}
        return [Sample(uid, f"k{score:.0%}".rstrip("%"), scores | {"cut": cut(files[uid])}, files[uid]) for uid in uids]

    build(
        folder / "data/refined" / name,
        dict.fromkeys(refined, f"k{score:.0%}".rstrip("%")),
        make,
        title=f"refine {name}",
    )


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def expected_uids() -> list[str]:
    return sorted(f"{name}-{k:06d}" for name, kept in KEPT.items() for k in kept)


def test_grafted_holds_exactly_the_kept_pixels_under_their_class(place: Path) -> None:
    main(["grafted"])
    shards = Shards("data/cutouts/grafted")
    assert [row["uid"] for row in shards.rows] == expected_uids()
    for row, files in shards:
        name, k = row["uid"].split("-")[0], int(row["uid"].split("-")[1])
        image, mask = picture(name, k), outline(k)
        rgba = png_array(files["rgba.png"])
        assert (row["class"], row["train_id"]) == (name, TRAIN_IDS[name])
        assert (row["height"], row["width"], 4) == rgba.shape == (9 + k, 7 + 2 * k, 4)
        assert set(np.unique(rgba[..., 3])) == {0, 255}
        assert np.array_equal(rgba[rgba[..., 3] == 255][:, :3], image[mask])


def test_baseline_is_an_empty_bank_that_needs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No refined sample or keep-list exists here: a moved threshold cannot change the baseline's bank."""
    (tmp_path / "params.yaml").write_text((ROOT / "params.yaml").read_text())
    monkeypatch.chdir(tmp_path)
    main(["baseline"])
    assert contents(tmp_path / "data/cutouts/baseline") == {"index.jsonl": b""}


def test_blobs_keep_area_image_and_class(place: Path) -> None:
    main(["blobs"])
    shards = Shards("data/cutouts/blobs")
    assert [row["uid"] for row in shards.rows] == expected_uids()
    same = 0
    for row, files in shards:
        name, k = row["uid"].split("-")[0], int(row["uid"].split("-")[1])
        rgba, image = png_array(files["rgba.png"]), picture(name, k)
        assert row["class"] == name
        assert np.count_nonzero(rgba[..., 3]) == np.count_nonzero(outline(k))
        same += rgba.shape[:2] == (9 + k, 7 + 2 * k)
        colours = {tuple(colour) for colour in image.reshape(-1, 3).tolist()}
        assert all(tuple(colour) in colours for colour in rgba[rgba[..., 3] == 255][:, :3].tolist())
    assert same < len(shards)


def test_shuffled_changes_labels_and_no_pixel(place: Path) -> None:
    main(["grafted"])
    main(["shuffled"])
    grafted, shuffled = Shards("data/cutouts/grafted"), Shards("data/cutouts/shuffled")
    for (own, files), (given, same) in zip(grafted, shuffled, strict=True):
        assert own["uid"] == given["uid"] and files == same
        assert own["class"] != given["class"]
        assert given["train_id"] == TRAIN_IDS[given["class"]]
    assert sorted(row["class"] for row in grafted.rows) == sorted(row["class"] for row in shuffled.rows)


@pytest.mark.parametrize("recipe", ["baseline", "grafted", "blobs", "shuffled"])
def test_a_repeated_run_leaves_equal_bytes(place: Path, capsys: pytest.CaptureFixture[str], recipe: str) -> None:
    main([recipe])
    once = contents(place / "data/cutouts")
    main([recipe])
    assert "made 0" in capsys.readouterr().out
    assert contents(place / "data/cutouts") == once


@pytest.mark.parametrize("recipe", ["blobs", "shuffled"])
def test_another_seed_makes_another_control_the_same_as_from_nothing(place: Path, recipe: str) -> None:
    main([recipe])
    first = contents(place / "data/cutouts")
    write_params(place, seed=5)
    main([recipe])
    resumed = contents(place / "data/cutouts")
    shutil.rmtree(place / "data/cutouts")
    main([recipe])
    assert contents(place / "data/cutouts") == resumed != first


def test_other_scores_of_the_same_pictures_leave_equal_bytes(place: Path) -> None:
    """Another CLIP, or a segmenter for the entropy, is no other training."""
    main(["grafted"])
    once = contents(place / "data/cutouts")
    for name in KEPT:
        refined = {f"{name}-{k:06d}": (picture(name, k), outline(k)) for k in range(4)}
        build_refined(place, name, refined, score=0.8)
    assert Shards("data/refined/bus").rows[0]["class_score"] == 0.8
    main(["grafted"])
    assert contents(place / "data/cutouts") == once


def test_an_equal_keep_list_with_other_reasons_leaves_equal_bytes(place: Path) -> None:
    main(["grafted"])
    once = contents(place / "data/cutouts")
    path = place / "data/cleaned/bus.csv"
    path.write_text(path.read_text().replace("ragged", "large"))
    main(["grafted"])
    assert contents(place / "data/cutouts") == once


def test_a_newly_kept_sample_is_made_alone(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["grafted"])
    write_keep_list(place, "truck", [0, 2, 3])
    main(["grafted"])
    assert "cutouts grafted: kept 7, made 1" in capsys.readouterr().out


BROKEN: dict[str, tuple[Callable[[Path], object], str, str]] = {
    "recipe": (
        lambda _: None,
        "graft",
        "there is no recipe 'graft'; it is one of baseline, grafted, blobs, ",
    ),
    "no keep-list": (lambda place: (place / BUS_CSV).unlink(), "grafted", f"{BUS_CSV} is missing; run"),
    "no column": (
        lambda place: (place / BUS_CSV).write_text("uid\n"),
        "blobs",
        "has no column kept, reason",
    ),
    "no index": (lambda place: (place / BUS_INDEX).unlink(), "grafted", BUS_INDEX),
    "gone": (
        lambda place: build_refined(place, "bus", {}),
        "grafted",
        "keeps bus-000000, which data/refined/bus",
    ),
}


@pytest.mark.parametrize(("break_it", "recipe", "sentence"), BROKEN.values(), ids=BROKEN)
def test_bad_input_is_one_sentence(
    place: Path,
    capsys: pytest.CaptureFixture[str],
    break_it: Callable[[Path], object],
    recipe: str,
    sentence: str,
) -> None:
    break_it(place)
    capsys.readouterr()
    with pytest.raises(SystemExit) as stop:
        main([recipe])
    assert stop.value.code == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and sentence in error and error.count("\n") == 1
    assert not (place / "data/cutouts").exists()


def only(place: Path, **pictures: NDArray[np.uint8]) -> None:
    """One kept bus, of these pictures, is all that there is of its class."""
    files = {f"{name}.png": png_bytes(picture) for name, picture in pictures.items()}
    made = Sample("bus-000000", "d", {"cut": cut(files)}, files)
    build(place / "data/refined/bus", {"bus-000000": "d"}, lambda _: [made], title="refine")
    (place / BUS_CSV).write_text("uid,kept,reason\nbus-000000,1,\n")


@pytest.mark.parametrize("recipe", ["grafted", "shuffled"])
def test_a_ring_and_its_soft_edge_come_along_in_the_same_frame(place: Path, recipe: str) -> None:
    """They may lie outside of the mask, and then widen the frame; the RGBA's own alpha stays the mask's."""
    image, mask, doubt = picture("bus", 0), outline(0), np.zeros((24, 32), np.uint8)
    doubt[5:7, 8] = 255
    alpha = mask * np.uint8(255)
    alpha[5, 8] = 85
    only(place, image=image, mask=mask * np.uint8(255), doubt=doubt, alpha=alpha)
    main([recipe])
    bank = Shards(place / "data/cutouts" / recipe).read("bus-000000")
    rgba, ring, soft = (png_array(bank[f"{name}.png"]) for name in ("rgba", "doubt", "alpha"))
    assert rgba.shape[:2] == ring.shape == soft.shape
    assert ring[:2, 3].tolist() == [255, 255] and (ring > 0).sum() == 2
    assert (rgba[..., 3] > 0).sum() == mask.sum() and not rgba[0, :, 3].any()
    assert soft[0, 3] == 85 and (soft == 255).sum() == mask.sum() and rgba[0, 3, :3].tolist() == image[5, 8].tolist()


def test_a_blob_has_no_ring_for_it_is_not_the_mask_that_was_doubted(place: Path) -> None:
    whole = np.full((24, 32), 255, np.uint8)
    only(place, image=picture("bus", 0), mask=outline(0) * np.uint8(255), doubt=whole, alpha=whole)
    main(["blobs"])
    assert set(Shards(place / "data/cutouts/blobs").read("bus-000000")) == {"rgba.png"}


@pytest.mark.parametrize("what", ["mask", "doubt", "alpha"])
def test_a_picture_of_another_size_than_its_image_is_one_sentence(
    place: Path, capsys: pytest.CaptureFixture[str], what: str
) -> None:
    full, small = np.full((24, 32), 255, np.uint8), np.full((9, 9), 255, np.uint8)
    only(place, **{"image": picture("bus", 0), "mask": full, "doubt": full, "alpha": full, what: small})
    with pytest.raises(SystemExit):
        main(["grafted"])
    error = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(error) == 1
    assert f"data/refined/bus: the {what} of bus-000000 has the size (9, 9), its image (24, 32)" in error[0]


def test_a_damaged_shard_is_one_sentence(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shard = next((place / "data/refined/bus").glob("*.tar"))
    shard.write_bytes(shard.read_bytes()[:700])
    with pytest.raises(SystemExit):
        main(["grafted"])
    error = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(error) == 1 and "is missing or damaged; run " in error[0]
