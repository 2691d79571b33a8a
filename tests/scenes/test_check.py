"""`scenes` takes folders in place of the small world, and `check` counts what they really hold."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from ruamel.yaml import YAML

from stages.parts.errors import GraftError
from stages.parts.sections import read
from stages.parts.store.samples import Shards, png_array
from stages.preflight import Params
from stages.scenes.__main__ import main
from stages.scenes.check import Tally, advice, table

ROOT = Path(__file__).parents[2]
SKY, ROAD, CAR, TREE = 0, 3, 8, 5  # CamVid's ids
FOLDER = {"images": "mine/images", "labels": "mine/labels", "ids": "camvid"}


def write(folder: Path, labels: list[np.ndarray]) -> None:
    for part in ("images", "labels"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    for k, label in enumerate(labels):
        Image.fromarray(np.repeat(label[..., None], 3, axis=2)).save(folder / f"images/{k}.jpg")
        Image.fromarray(label).save(folder / f"labels/{k}.png")


def params(folder: Path, **scenes: object) -> None:
    yaml = YAML()
    content = yaml.load((ROOT / "params.yaml").read_text())
    content["scenes"].update({"height": 16, "width": 16, **scenes})
    with open(folder / "params.yaml", "w") as file:
        yaml.dump(content, file)


@pytest.fixture
def repo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A source of three images without a car, a val of two with cars, a target without labels."""
    plain = np.full((16, 16), ROAD, np.uint8)
    plain[:8] = SKY
    with_car = plain.copy()
    with_car[8:12, :4] = CAR
    write(tmp_path / "mine", [plain] * 3)
    write(tmp_path / "val", [with_car] * 2)
    val = {"images": "val/images", "labels": "val/labels", "ids": "camvid"}
    params(tmp_path, source=FOLDER, target={"images": "val/images"}, val=val, test=val)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_folders_become_the_same_shards_as_the_small_world(repo: Path) -> None:
    main([])
    source, target = Shards("data/scenes/source"), Shards("data/scenes/target")
    row, files = next(iter(source))
    assert row["uid"] == "source-0" and row["file"] == "0" and row["pixels"] == {"0": 128, "10": 128}
    assert png_array(files["image.png"]).shape == (16, 16, 3) and set(np.unique(png_array(files["label.png"]))) == {
        0,
        10,
    }
    assert [set(files) for _, files in target] == [{"image.png"}] * 2


def test_a_target_that_has_labels_is_written_without_them(repo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """They serve `check` alone."""
    params(repo, source=FOLDER, target=FOLDER, val=FOLDER, test=FOLDER)
    main([])
    assert [set(files) for _, files in Shards("data/scenes/target")] == [{"image.png"}] * 3
    assert "pixels" not in Shards("data/scenes/target").rows[0]
    main(["check"])
    assert "target, 3 images" in capsys.readouterr().out


def test_only_a_changed_file_is_read_again(repo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main([])
    write(repo / "mine", [np.full((16, 16), TREE, np.uint8)])
    capsys.readouterr()
    main([])
    assert "scenes source: kept 2, made 1" in capsys.readouterr().out


def test_check_says_what_is_worth_adding_and_draws_it(repo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["check"])
    said = capsys.readouterr().out
    lines = {line.split("  ")[0]: line for line in said.splitlines()}
    assert "worth adding (in val, but absent or rare in source): car" in said
    assert "50.000%        3 images" in lines["road"] and "0 images  absent" in lines["car"]
    assert "6.250%        2 images" in lines["car"], "16 of 256 pixels of val are a car"
    assert "target: 2 images without labels" in said
    for name in ("histogram", "source", "target", "val", "test"):
        assert Image.open(repo / f"data/check/{name}.png").size[0] > 100
    assert not (repo / "data/scenes").exists()


def test_a_class_is_rare_below_one_image_in_a_hundred_or_hardly_a_pixel() -> None:
    pixels, images = np.zeros(256, np.int64), np.zeros(256, np.int64)
    pixels[[0, 1, 2, 3]], images[[0, 1, 2, 3]] = [1_000_000, 5000, 5000, 99], [1000, 10, 9, 500]
    one = Tally("source", 1000, pixels, images)
    assert [one.state(i) for i in range(5)] == ["", "", "rare", "rare", "absent"]
    assert "worth adding" in advice({"source": one, "val": one}) and "rare" in table([one])


@pytest.mark.parametrize(
    ("scenes", "words"),
    [
        ({"source": {"images": "mine/images"}}, ["scenes", "source needs labels and ids"]),
        ({"source": {**FOLDER, "ids": None}}, ["scenes.source", "labels and ids go together"]),
        ({"source": {**FOLDER, "image": "x"}}, ["unknown key scenes.source.image"]),
        ({"source": 0}, ["scenes.source", "greater than or equal to 1", "it is 0"]),
        ({"source": "600"}, ["scenes.source", "integer", "'600'"]),
        ({"source": {**FOLDER, "ids": {"road": 1}}}, ["scenes.source.ids"]),
    ],
)
def test_a_bad_split_is_a_sentence_with_its_key(tmp_path: Path, scenes: dict, words: list[str]) -> None:
    params(tmp_path, **scenes)
    with pytest.raises(GraftError) as caught:
        read(Params, tmp_path / "params.yaml")
    said = str(caught.value)
    assert "\n" not in said and all(word in said for word in words) and "(folder)" not in said, said


def test_the_split_is_named_when_its_folder_is_at_fault(repo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (repo / "val/labels/1.png").unlink()
    with pytest.raises(SystemExit) as caught:
        main([])
    assert caught.value.code == 2 and not (repo / "data/scenes").exists()
    assert "error: scenes.val: val/images/1.jpg is an image without its label" in capsys.readouterr().err
