"""UCG's folders come in: every fault is named, what was taken in stays, whatever interrupts."""

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

from stages.export.__main__ import main as export
from stages.generate.__main__ import main as generate
from stages.parts.datasets import ucg
from stages.parts.errors import GraftError
from stages.parts.store.samples import Shards
from tests.export.conftest import ROOT, point, sample


def complaint(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    with pytest.raises(SystemExit) as caught:
        generate(arguments)
    assert caught.value.code == 2
    return [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")][-1]


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


@pytest.mark.parametrize("content", ["my bus.png \n7.png\n", "my bus\n\n7\n", "7.png my bus.png"])
def test_a_list_may_name_files_with_spaces(tmp_path: Path, content: str) -> None:
    (tmp_path / "list.txt").write_text(content)
    for part in ("rgb", "ss"):
        (tmp_path / part).mkdir()
        for name in ("my bus", "7", "other"):
            (tmp_path / part / f"{name}.png").touch()
    assert ucg.names(tmp_path, tmp_path / "list.txt") == ["7", "my bus"]


def test_an_image_of_one_colour_comes_in_rejected(repo: Path) -> None:
    """What a safety checker leaves of an image; its mask may be whatever it is."""
    export(["ucg", "out"])
    Image.fromarray(np.zeros((24, 40, 3), np.uint8)).save("out/train/rgb/2.png")
    point("train", cutouts="out/train")
    generate(["train"])
    rejected = {row["uid"]: row["rejected"] for row in Shards("data/generated/train").rows}
    assert rejected == {"train-000000": "", "train-000002": "constant_image", "train-000010": ""}


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
