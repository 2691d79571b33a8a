"""Kept cutouts leave as UCG's folders and come back with every pixel; every fault of such a folder is named."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from ruamel.yaml import YAML

from stages.clean.__main__ import main as clean
from stages.clean.params import Rules
from stages.export.__main__ import main as export
from stages.generate.__main__ import main as generate
from stages.parts.store.samples import Sample, Shards, build, png_array, png_bytes
from stages.refine.__main__ import main as refine
from tests.export.conftest import KEPT, PROMPTS, point, sample
from tests.parts.pretrained.conftest import clip_folder

__all__ = ["clip_folder"]  # a fixture: tests ask for it by name


def test_what_leaves_comes_back_with_every_pixel_and_prompt(repo: Path) -> None:
    export(["ucg", "out"])
    point("train", cutouts="out/train", list="train.txt", prompts="prompt_lists.txt")
    generate(["train"])
    back = Shards("data/generated/train")
    assert [row["uid"] for row in back.rows] == KEPT["train"]
    for row, files in back:
        image, mask = sample(int(row["uid"][-6:]))
        assert (png_array(files["image.png"]) == image).all()
        assert (png_array(files["mask.png"]) == mask * np.uint8(255)).all()
        assert row["prompt"] == PROMPTS[row["uid"]]


def test_the_folder_is_laid_out_as_ucg_publishes(repo: Path) -> None:
    export(["ucg", "out"])
    found = sorted(path.relative_to("out").as_posix() for path in Path("out").rglob("*") if path.is_file())
    cutouts = [f"train/{part}/{k}.png" for part in ("rgb", "ss") for k in (0, 10, 2)]
    assert found == sorted(
        ["bus/rgb/1.png", "bus/ss/1.png", "bus/train.txt", "train/prompt_lists.txt", "train/train.txt", *cutouts]
    )
    assert Path("out/train/train.txt").read_text() == "0.png\n2.png\n10.png\n"
    assert Path("out/train/prompt_lists.txt").read_text().splitlines() == list(PROMPTS.values())
    with Image.open("out/train/ss/0.png") as mask:
        assert mask.mode == "1"


def test_exporting_what_came_in_gives_the_same_folders(repo: Path, clip_folder: Path) -> None:
    """Export, import, refine, clean, export: the folders are equal, file by file."""
    export(["ucg", "once"])
    shutil.rmtree("data/generated")
    shutil.rmtree("data/refined")
    shutil.rmtree("data/cleaned")
    for name in KEPT:
        prompts = {"prompts": "prompt_lists.txt"} if name == "train" else {}
        point(name, cutouts=f"once/{name}", list="train.txt", **prompts)
    yaml = YAML()
    params = yaml.load(Path("params.yaml"))
    params["refine"] |= {"method": "attention", "clip": str(clip_folder)}
    params["clean"] |= dict.fromkeys(Rules.model_fields)
    yaml.dump(params, Path("params.yaml"))
    for name in KEPT:
        generate([name])
        refine([name])
    clean(list(KEPT))
    export(["ucg", "again"])
    assert contents("again") == contents("once") and len(contents("once")) == 2 * 4 + 3


def contents(folder: str) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in Path(folder).rglob("*") if path.is_file()}


def said_by_export(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    with pytest.raises(SystemExit) as caught:
        export(arguments)
    assert caught.value.code == 2
    error = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(error) == 1
    return error[0]


def test_a_folder_that_only_looks_unfinished_is_left_alone_and_nothing_of_ours_stays(repo: Path) -> None:
    Path("out.tmp").mkdir()
    Path("out.tmp/mine.txt").write_text("mine")
    Path("out").mkdir()
    export(["ucg", "out"])
    assert Path("out.tmp/mine.txt").read_text() == "mine"
    assert sorted(path.name for path in repo.iterdir()) == ["data", "out", "out.tmp", "params.yaml"]
    assert Path("out").stat().st_mode == Path("data").stat().st_mode, "as readable as any other new folder"


def replace(name: str, **pictures: np.ndarray) -> None:
    """All refined samples of a class get these pictures."""
    files = {f"{what}.png": png_bytes(picture) for what, picture in pictures.items()}
    uids = [f"{name}-{k:06d}" for k in (0, 1, 2, 10)]
    made = [Sample(uid, "other", {}, files) for uid in uids]
    build(f"data/refined/{name}", dict.fromkeys(uids, "other"), lambda _: made, title="refine")


@pytest.mark.parametrize("what", ["mask", "doubt"])
def test_a_picture_of_another_size_than_its_image_is_one_sentence_and_leaves_nothing(
    repo: Path, capsys: pytest.CaptureFixture[str], what: str
) -> None:
    image, whole = np.zeros((24, 40, 3), np.uint8), np.full((24, 40), 255, np.uint8)
    replace("bus", **{"image": image, "mask": whole, "doubt": whole, what: whole[1:]})
    said = said_by_export(capsys, "ucg", "out")
    assert f"data/refined/bus: the {what} of bus-000001 has the size (23, 40), its image (24, 40)" in said
    assert sorted(path.name for path in repo.iterdir()) == ["data", "params.yaml"]


def test_a_damaged_shard_is_one_sentence(repo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shard = next(Path("data/refined/train").glob("*.tar"))
    shard.write_bytes(shard.read_bytes()[:700])
    assert "is missing or damaged; run " in said_by_export(capsys, "mmseg", "out")


def test_the_ring_that_refine_recorded_is_ignored_in_mmsegs_labels(repo: Path) -> None:
    image, mask, doubt = np.zeros((24, 40, 3), np.uint8), *np.zeros((2, 24, 40), np.uint8)
    mask[4:20, 4:30] = 255
    doubt[4:6, 4:30] = 255
    replace("bus", image=image, mask=mask, doubt=doubt)
    export(["mmseg", "out", "--class", "bus"])
    with Image.open("out/ann_dir/train/bus-000001.png") as label:
        assert np.array_equal(np.array(label) == 15, (mask > 0) & (doubt == 0))


def test_an_export_never_writes_over_anything(repo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (repo / "out").mkdir()
    (repo / "out/mine.txt").write_text("mine")
    with pytest.raises(SystemExit):
        export(["ucg", "out"])
    assert "out is there already" in capsys.readouterr().err and (repo / "out/mine.txt").read_text() == "mine"


def test_one_class_alone(repo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    export(["ucg", "out", "--class", "bus"])
    assert [path.name for path in Path("out").iterdir()] == ["bus"]
    with pytest.raises(SystemExit):
        export(["ucg", "more", "--class", "tram"])
    assert "--class tram: params.yaml classes has train, bus" in capsys.readouterr().err
