"""A comparison keeps what is finished, trains anew what changed, and tells means and deviations."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from ruamel.yaml import YAML

from stages.compare.__main__ import main, table
from stages.compare.cells import ablation, methods
from stages.samples import Sample, build, key, png_bytes
from stages.train.preset import overlay
from stages.train_params import Train

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
    for split in ("source", "target", "val"):
        files = {"image.png": png_bytes(image)} | ({} if split == "target" else {"label.png": png_bytes(label)})
        write(f"data/scenes/{split}", {f"{split}-{k}": files for k in range(4)})
    write("data/cutouts/baseline", {})
    cutout = png_bytes(np.full((8, 8, 4), 255, np.uint8))
    write("data/cutouts/grafted", {f"bus-{k}": {"rgba.png": cutout} for k in range(3)}, **{"class": "bus"})
    shutil.copytree(ROOT / "models/miniature/encoder", tmp_path / "models/miniature/encoder")
    yaml = YAML(typ="safe", pure=True)
    params = yaml.load((ROOT / "params.yaml").read_text())
    overlay(params["train"], {"batch": 2, "warmup": 1})
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


def test_every_cell_has_valid_params():
    content = YAML(typ="safe", pure=True).load((ROOT / "params.yaml").read_text())["train"]
    names = set()
    for cell in [*methods(), *ablation("dacs"), *ablation("mic")]:
        changed = YAML(typ="safe", pure=True).load((ROOT / "params.yaml").read_text())["train"]
        overlay(changed, cell.changes)
        Train.model_validate(changed)
        assert changed != content or cell.most or cell.changes == {"method": "dacs"}, f"{cell.name} changes nothing"
        names.add(cell.name)
    assert len(names) == 8 + 2 * 10


def test_the_table_has_means_and_sample_deviations():
    runs = {str(k): {"base_mIoU": 60.0 + k, "novel_mIoU": 50.0, "mIoU": 58.0} for k in range(3)}
    assert table({"dacs": runs, "mic": {"0": runs["0"]}}).splitlines()[2:] == [
        "| dacs | 61.0 ± 1.0 | 50.0 ± 0.0 | 58.0 ± 0.0 | 3 |",
        "| mic | 60.0 | 50.0 | 58.0 | 1 |",
    ]
