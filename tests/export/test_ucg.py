"""Kept cutouts leave as UCG's folders and come back with every pixel; every fault of such a folder is named."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from ruamel.yaml import YAML

from stages import ucg
from stages.clean.__main__ import main as clean
from stages.export.__main__ import main as export
from stages.generate.__main__ import main as generate
from stages.labels import GraftError
from stages.refine.__main__ import main as refine
from stages.samples import Sample, Shards, build, png_array, png_bytes
from tests.export.conftest import KEPT, PROMPTS, ROOT, sample
from tests.refine.conftest import clip_folder

__all__ = ["clip_folder"]  # a fixture: tests ask for it by name


def point(name: str, **content: str) -> None:
    """params.yaml and the pointer that take published cutouts in."""
    yaml, folder = YAML(), Path("data/mine")
    folder.mkdir(parents=True, exist_ok=True)
    yaml.dump(content, folder / f"{name}.yaml")
    params = yaml.load(Path("params.yaml"))
    params["generate"]["source"] = "data/mine"
    yaml.dump(params, Path("params.yaml"))


def complaint(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    with pytest.raises(SystemExit) as caught:
        generate(arguments)
    assert caught.value.code == 2
    return [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")][-1]


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
    params["clean"]["preset"] = "none"
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
    assert "is missing or damaged; delete this file" in said_by_export(capsys, "mmseg", "out")


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


@pytest.mark.parametrize("values", [(0, 1), (0, 255)])
@pytest.mark.parametrize("mode", ["L", "1"])
def test_masks_of_one_bit_and_of_0_255_mean_the_same(tmp_path: Path, mode: str, values: tuple[int, int]) -> None:
    image, mask = sample(3)
    for part, picture in (
        ("rgb", Image.fromarray(image)),
        ("ss", Image.fromarray(mask if mode == "1" else np.where(mask, values[1], values[0]).astype(np.uint8))),
    ):
        (tmp_path / part).mkdir()
        picture.save(tmp_path / part / "0.png")
    read_image, read_mask = ucg.read(tmp_path, "0")
    assert (read_image == image).all() and (read_mask == mask).all()


def test_every_damaged_file_is_named_and_the_others_are_taken_in(
    repo: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    export(["ucg", "out"])
    train = Path("out/train")
    train.joinpath("rgb/0.png").write_bytes(train.joinpath("rgb/0.png").read_bytes()[:200])
    Image.fromarray(np.full((24, 40), 7, np.uint8)).save(train / "ss/2.png")
    point("train", cutouts="out/train")
    said = complaint(capsys, "train")
    assert "rgb/0.png is damaged" in said and "ss/2.png holds [7]" in said
    export(["ucg", "again"])
    for path in ("rgb/0.png", "ss/2.png"):
        (train / path).write_bytes((Path("again/train") / path).read_bytes())
    generate(["train"])
    assert "generate train: kept 1, made 2" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("no mask", "rgb/2.png has no mask in ss/"),
        ("no image", "ss/2.png has no image in rgb/"),
        ("listed", "77.png is listed but nowhere"),
        ("layout", "expected the folders rgb/ and ss/ of UCG's layout; it holds bus/, train/"),
        ("size", "ss/2.png is 40 x 23, its image 40 x 24"),
        ("grey", "rgb/2.png has mode L, expected RGB"),
        ("prompts", "has 2 prompts for 3 images"),
        ("nowhere", "cutouts names no folder (nowhere)"),
        ("key", "unknown key masks"),
    ],
)
def test_a_fault_of_the_folder_is_one_sentence(
    repo: Path, capsys: pytest.CaptureFixture[str], fault: str, words: str
) -> None:
    export(["ucg", "out"])
    content, train = {"cutouts": "out/train"}, Path("out/train")
    if fault == "no mask":
        (train / "ss/2.png").unlink()
    elif fault == "no image":
        (train / "rgb/2.png").unlink()
    elif fault == "listed":
        (train / "train.txt").write_text("0.png 77.png ")
        content["list"] = "train.txt"
    elif fault == "layout":
        content["cutouts"] = "out"
    elif fault == "size":
        Image.fromarray(np.zeros((23, 40), np.uint8)).save(train / "ss/2.png")
    elif fault == "grey":
        Image.fromarray(np.zeros((24, 40), np.uint8)).save(train / "rgb/2.png")
    elif fault == "prompts":
        (train / "prompt_lists.txt").write_text("a\nb\n")
        content["prompts"] = "prompt_lists.txt"
    elif fault == "nowhere":
        content["cutouts"] = "nowhere"
    else:
        content["masks"] = "x"
    point("train", **content)
    assert words in complaint(capsys, "train")


def test_an_unlisted_cutout_stays_out_unpaired_or_not(repo: Path) -> None:
    export(["ucg", "out"])
    Path("out/train/ss/2.png").unlink()
    Path("out/train/valid_indices_2.txt").write_text("10.png 0.png ")
    point("train", cutouts="out/train", list="valid_indices_2.txt")
    generate(["train"])
    assert [row["uid"] for row in Shards("data/generated/train").rows] == ["train-000000", "train-000010"]


def test_names_sort_as_numbers_and_words_last(tmp_path: Path) -> None:
    for part in ("rgb", "ss"):
        (tmp_path / part).mkdir()
        for name in ("10", "9", "tram", "1"):
            (tmp_path / part / f"{name}.png").touch()
    assert ucg.names(tmp_path) == ["1", "9", "10", "tram"]
    assert [ucg.slug(name) for name in ("7", "a b", "0012")] == ["000007", "a_b", "000012"]
    with pytest.raises(GraftError, match="holds no image"):
        (tmp_path / "empty/rgb").mkdir(parents=True)
        (tmp_path / "empty/ss").mkdir()
        ucg.names(tmp_path / "empty")


def large_folder(count: int) -> Path:
    """A UCG folder of `count` cutouts, as the current directory's data/many/train."""
    folder = Path("data/many/train")
    for k in range(count):
        for path, content in ucg.files(str(k), *sample(k)).items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(content)
    point("train", cutouts=folder.as_posix())
    return folder


def command(*prefix: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*prefix, sys.executable, "-m", "stages.generate", "train"], text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def test_an_interrupted_import_keeps_what_was_taken_in_and_ends_byte_equal(repo: Path) -> None:
    shutil.rmtree("data/generated")
    large_folder(400)
    running, partial = command(), Path("data/generated/train/.partial")
    while running.poll() is None and len(list(partial.glob("*.tar"))) < 40:
        time.sleep(0.002)
    running.send_signal(signal.SIGKILL)
    running.communicate()
    finished = len(list(partial.glob("*.tar")))
    assert running.returncode == -signal.SIGKILL and 40 <= finished < 400
    said, _ = command().communicate()
    assert f"generate train: kept {finished}, made {400 - finished}" in said
    resumed = {path.name: path.read_bytes() for path in Path("data/generated/train").iterdir()}
    shutil.rmtree("data/generated")
    generate(["train"])
    assert resumed == {path.name: path.read_bytes() for path in Path("data/generated/train").iterdir()}


def test_an_import_onto_a_full_disk_is_a_sentence_and_goes_on_later(repo: Path) -> None:
    """A limit on the size of files stands in for a full disk."""
    shutil.rmtree("data/generated")
    large_folder(60)
    limited = command("bash", "-c", 'ulimit -f 100; trap "" XFSZ; exec "$@"', "limited")
    _, said = limited.communicate()
    assert limited.returncode == 2 and "no space left on the disk" in said
    said, _ = command().communicate()
    assert "generate train: kept 60, made 0" in said, "each cutout was whole before the shard did not fit"
