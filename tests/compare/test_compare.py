"""A comparison keeps what is finished, trains anew what changed, and tells means and deviations."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from ruamel.yaml import YAML
from safetensors.torch import load_file, save_file

from stages.compare.__main__ import compare, main, table
from stages.compare.cells import Cell, ablation, methods
from stages.compare.trainings import lay_out, params_of, scenes_of
from stages.parts.datasets.labels import LABELS
from stages.parts.errors import GraftError
from stages.parts.pasting.paste import read_bank
from stages.parts.preset import overlay
from stages.parts.pretrained.weights import find_encoder
from stages.parts.sections import read
from stages.parts.store.samples import Sample, Shards, build, key, png_bytes
from stages.preflight import Params
from stages.train import setup
from stages.train.methods import Name
from stages.train.params import Train

ROOT = Path(__file__).parents[2]


def write(folder: str, files: dict[str, dict[str, bytes]], **row: object) -> None:
    build(
        folder,
        {uid: key(uid=uid) for uid in files},
        lambda uids: (Sample(uid, key(uid=uid), {"height": 32, "width": 64, **row}, files[uid]) for uid in uids),
        title=folder,
    )


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    image, label = rng.integers(0, 255, (32, 64, 3), dtype=np.uint8), np.zeros((32, 64), np.uint8)
    label[:16] = 10
    for split in ("source", "target", "val", "test"):
        files = {"image.png": png_bytes(image)} | ({} if split == "target" else {"label.png": png_bytes(label)})
        write(f"data/scenes/{split}", {f"{split}-{k}": files for k in range(4)})
    write("data/cutouts/baseline", {})
    cutout = png_bytes(np.full((8, 8, 4), 255, np.uint8))
    write("data/cutouts/grafted", {f"bus-{k}": {"rgba.png": cutout} for k in range(3)}, **{"class": "bus"})
    shutil.copytree(ROOT / "models/miniature/encoder", tmp_path / "models/miniature/encoder")
    yaml = YAML(typ="safe", pure=True)
    params = yaml.load((ROOT / "params.yaml").read_text())
    overlay(params["train"], {"batch": 2, "warmup": 1})
    params["engine"]["threads"] = 1  # two tests run at a time
    yaml.dump(params, tmp_path / "params.yaml")
    return tmp_path


@pytest.mark.slow
def test_a_finished_cell_is_kept_and_a_changed_one_is_trained_anew(root: Path, capsys: pytest.CaptureFixture):
    def trained() -> dict[str, float]:
        return {path.parent.name: path.stat().st_mtime for path in root.glob("data/compare/*/train.log")}

    main(["methods", "--iterations", "2"])
    first = trained()
    assert len(first) == 8
    said = capsys.readouterr().out
    assert all(f"| {cell.name} |" in said for cell in methods())
    main(["methods", "--iterations", "2"])
    assert trained() == first
    main(["methods", "--iterations", "3"])
    assert not set(trained().items()) & set(first.items())


TWO = [Cell("source, baseline", "baseline", {"method": "source_only"}), Cell("dacs, grafted", "grafted")]


@pytest.mark.slow
def test_cells_side_by_side_give_what_they_give_one_after_the_other(root: Path):
    path = root / "metrics/compare/two.json"
    one = compare(TWO, [0, 0], 1, path, 2)
    written = path.read_bytes()
    assert json.loads(written) == one and list(one) == [cell.name for cell in TWO]
    shutil.rmtree(root / "data/compare")
    assert compare(TWO, [0], 2, path, 2) == one
    assert path.read_bytes() == written
    assert {file.name for file in path.parent.iterdir()} == {"two.json"}


@pytest.mark.slow
def test_a_cell_is_trained_anew_when_the_encoders_weights_change(root: Path):
    def trained() -> float:
        compare(TWO[:1], [0], 1, root / "one.json", 1)
        return next(root.glob("data/compare/*/train.log")).stat().st_mtime

    first = trained()
    assert trained() == first
    weights = root / "models/miniature/encoder/model.safetensors"
    save_file({name: value + 1 for name, value in load_file(weights).items()}, weights)
    assert trained() > first


def test_a_failing_cell_is_one_sentence_and_what_was_finished_stays_in_the_table(root: Path, capsys):
    with pytest.raises(SystemExit):
        main(["methods", "--jobs", "0"])
    assert "--jobs must be 1 or more" in capsys.readouterr().err
    shutil.rmtree(root / "data/cutouts/baseline")
    with pytest.raises(GraftError, match="baseline"):
        compare(TWO, [0], 2, root / "two.json", 1)


def test_labels_of_the_target_made_later_are_no_reason_to_train_anew():
    read = {
        method: {path.name for path in scenes_of({"train": {"method": method}})} for method in ("dacs", "supervised")
    }
    assert read == {"dacs": {"source", "target", "val", "test"}, "supervised": {"oracle", "val", "test"}}


def settings(cell: Cell) -> Train:
    content = YAML(typ="safe", pure=True).load((ROOT / "params.yaml").read_text())["train"]
    overlay(content, cell.changes)
    return Train.model_validate(content)


def test_every_cell_has_valid_params_and_changes_something():
    content = YAML(typ="safe", pure=True).load((ROOT / "params.yaml").read_text())["train"]
    cells = [*methods(), *ablation("dacs", 62), *ablation("mic", 62)]
    for cell in cells:
        changes_nothing = settings(cell) == Train.model_validate(content)
        assert not changes_nothing or cell.most or cell.changes == {"method": content["method"]}, cell.name
    assert len(cells) == 8 + 10 + 11
    assert len({cell.name for cell in cells}) == len(cells) - 4  # both ablations begin with two rows of methods


@pytest.mark.parametrize("cell", ablation("daformer", 3), ids=lambda cell: cell.name)
def test_every_cell_can_be_laid_out_and_its_params_are_read_back(root: Path, cell: Cell, monkeypatch):
    asked = params_of(cell, 7)
    lay_out(root / "cell", cell, asked)
    monkeypatch.chdir(root / "cell")
    laid = read(Params).train
    assert laid.encoder == asked["train"]["encoder"] or Path(str(laid.encoder)).is_absolute()
    assert laid.model_copy(update={"encoder": asked["train"]["encoder"]}) == Train.model_validate(asked["train"])
    assert asked["train"]["iterations"] == 7


def test_a_cell_finds_an_encoder_of_the_users_own(root: Path, monkeypatch):
    shutil.copytree(root / "models/miniature/encoder", root / "weights/enc")
    asked = params_of(methods()[0], 7)
    asked["train"]["encoder"] = "weights/enc"
    lay_out(root / "cell", methods()[0], asked)
    monkeypatch.chdir(root / "cell")
    train = read(Params).train
    assert find_encoder(str(train.encoder), train.encoder_revision).is_file()
    assert asked["train"]["encoder"] == "weights/enc", "its key does not depend on where the repo lies"


def test_the_ablation_has_a_row_of_reference_and_no_row_twice():
    assert ablation("dacs", 62)[:2] == [cell for cell in methods() if cell.name.startswith("dacs")]
    levels = [[cell.most for cell in ablation("dacs", held) if cell.most] for held in (20, 62, 100, 101)]
    assert levels == [[], [20, 40], [20, 40], [20, 40, 100]]
    assert not any("budget" in cell.name for cell in ablation("dacs", 62))  # it samples no class
    assert sum("budget" in cell.name for cell in ablation("daformer", 62)) == 1


@pytest.mark.parametrize("method", ["dacs", "daformer", "mic"])
def test_at_p_0_nothing_is_pasted_whatever_the_method(root: Path, method: Name):
    def pasted(cell: Cell) -> int:
        source, target = Shards("data/scenes/source"), Shards("data/scenes/target")
        pairs = setup.dataset(
            settings(cell), 0, source, target, read_bank(Shards(f"data/cutouts/{cell.recipe}"), LABELS)
        )
        labels = [pairs[k]["data_samples"]["source"].gt_sem_seg.data.numpy() for k in range(40)]
        return sum(bool((label == 15).any()) for label in labels)

    cells = {cell.name.removeprefix(f"{method}, "): cell for cell in ablation(method, 3)}
    counts = {name: pasted(cell) for name, cell in cells.items()}
    assert counts["baseline"] == 0
    assert 0 < counts["p = 0.25"] < 22  # 10 in the mean
    assert counts["pasted as ucg"] < 8  # 2 in the mean
    assert counts["grafted"] > 22


def test_the_table_has_means_and_sample_deviations_and_says_so():
    runs = {str(k): {"base_mIoU": 60.0 + k, "novel_mIoU": 50.0, "mIoU": 58.0} for k in range(3)}
    lines = table({"dacs": runs, "mic": {"0": runs["0"]}}).splitlines()
    assert "sample standard deviation" in lines[0]
    assert lines[2:] == [
        "| dacs | 61.0 ± 1.0 | 50.0 ± 0.0 | 58.0 ± 0.0 | 3 |",
        "| mic | 60.0 | 50.0 | 58.0 | 1 |",
    ]
