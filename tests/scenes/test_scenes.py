"""The scenes stage writes what the rest of the line trusts: counts that are true, and no target label at all."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from ruamel.yaml import YAML

from stages.parts.store.samples import Shards, png_array

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def repo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("repo")
    shutil.copytree(ROOT / "stages", folder / "stages", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "requirements.txt", folder)
    small = (ROOT / "params.yaml").read_text()
    for old, new in (
        ("source: 600", "source: 6"),
        ("target: 600", "target: 5"),
        ("val: 120", "val: 4"),
        ("test: 480", "test: 3"),
    ):
        small = small.replace(old, new)
    (folder / "params.yaml").write_text(small)
    assert run(folder).returncode == 0
    return folder


def run(folder: Path, *what: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "stages.scenes", *what]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, env=os.environ)


def test_no_target_image_carries_a_label(repo: Path) -> None:
    shards = Shards(repo / "data/scenes/target")
    assert len(shards) == 5
    assert all(set(files) == {"image.png"} and "pixels" not in row for row, files in shards)


@pytest.mark.parametrize("split", ["source", "val", "test"])
def test_the_pixel_counts_of_a_row_are_those_of_its_label(repo: Path, split: str) -> None:
    for row, files in Shards(repo / "data/scenes" / split):
        label = png_array(files["label.png"])
        ids, counts = np.unique(label, return_counts=True)
        assert row["pixels"] == {str(i): int(n) for i, n in zip(ids, counts, strict=True)}
        assert label.shape == (row["height"], row["width"]) == png_array(files["image.png"]).shape[:2]


def test_val_and_test_show_other_streets_than_target_and_than_one_another(repo: Path) -> None:
    target = {files["image.png"] for _, files in Shards(repo / "data/scenes/target")}
    val, test = ({files["image.png"] for _, files in Shards(repo / "data/scenes" / one)} for one in ("val", "test"))
    assert not target & val and not target & test and not val & test


def test_the_oracle_is_the_target_with_its_labels_and_written_on_demand(repo: Path) -> None:
    assert not (repo / "data/scenes/oracle").exists()
    assert run(repo, "oracle").returncode == 0
    oracle, target = (Shards(repo / "data/scenes" / name) for name in ("oracle", "target"))
    pairs = list(zip(oracle, target, strict=True))
    assert all(files["image.png"] == known["image.png"] for (_, files), (_, known) in pairs)
    assert all(png_array(files["label.png"]).shape == (row["height"], row["width"]) for row, files in oracle)
    assert {14, 15, 16} & {int(c) for row, _ in oracle for c in row["pixels"]}
    assert all(set(files) == {"image.png"} for _, files in target)
    shutil.rmtree(repo / "data/scenes/oracle")


def test_pictures_of_a_folder_stay_as_they_are_where_no_size_is_given(repo: Path, tmp_path: Path) -> None:
    (tmp_path / "stages").symlink_to(repo / "stages")
    for name, size in (("a", (40, 70)), ("b", (31, 50))):
        for kind, shape in (("images", (*size, 3)), ("labels", size)):
            (tmp_path / kind).mkdir(exist_ok=True)
            Image.fromarray(np.zeros(shape, np.uint8)).save(tmp_path / kind / f"{name}.png")
    params = YAML(typ="safe", pure=True).load((repo / "params.yaml").read_text())
    folder = {"images": "images", "labels": "labels", "ids": "train_ids"}
    params["scenes"] |= {
        "source": folder,
        "target": {"images": "images"},
        "val": folder,
        "test": folder,
        "height": None,
        "width": None,
    }
    YAML(typ="safe", pure=True).dump(params, tmp_path / "params.yaml")
    done = run(tmp_path)
    assert done.returncode == 0, done.stderr
    for row, files in Shards(tmp_path / "data/scenes/source"):
        shape = (row["height"], row["width"])
        assert png_array(files["image.png"]).shape[:2] == png_array(files["label.png"]).shape == shape
    assert [row["height"] for row in Shards(tmp_path / "data/scenes/source").rows] == [40, 31]
    said = run(tmp_path, "oracle")
    assert said.returncode == 2 and "scenes.target has no labels" in said.stderr


def test_a_second_run_makes_nothing(repo: Path) -> None:
    said = run(repo).stdout
    assert "kept 6, made 0" in said and "kept 4, made 0" in said


def test_a_bad_param_stops_the_stage_before_it_writes(repo: Path, tmp_path: Path) -> None:
    shutil.copytree(repo / "stages", tmp_path / "stages")
    (tmp_path / "params.yaml").write_text((repo / "params.yaml").read_text().replace("height: 64", "height: 63"))
    done = run(tmp_path)
    assert done.returncode == 2 and not (tmp_path / "data").exists()
    assert done.stderr.startswith("error: params.yaml: scenes.height") and done.stderr.count("\n") == 1
