"""`python -m stages.clean --explain`: it prints and draws, moves nothing, and says in a sentence what is wrong."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from ruamel.yaml import YAML

from stages.clean.__main__ import main
from stages.clean.explain import figure
from stages.clean.params import Rules
from stages.clean.rules import judge
from stages.clean.table import Table
from stages.parts.store.samples import Sample, build, png_array, png_bytes

ROOT = Path(__file__).parents[2]
VALUES = {"max_area": 0.4, "min_area": 0.15}
AREAS = (0.1, 0.39, 0.41, 0.5, 0.2, 0.9)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    def make(uids: list[str]) -> list[Sample]:
        files = {
            "image.png": png_bytes(np.zeros((8, 8, 3), np.uint8)),
            "mask.png": png_bytes(np.zeros((8, 8), np.uint8)),
        }
        return [Sample(uid, "k", {}, files) for uid in uids]

    build(tmp_path / "data/refined/bus", {f"bus-{k:06d}": "k" for k in range(3)}, make, title="refine")
    rows = "".join(f"bus-{k:06d},,{area}\n" for k, area in enumerate((0.1, 0.3, 0.6)))
    (tmp_path / "data/refined/bus/scores.csv").write_text(f"uid,reason,area\n{rows}")
    yaml = YAML()
    params = yaml.load((ROOT / "params.yaml").read_text())
    params["clean"] |= dict.fromkeys(Rules.model_fields) | {"max_area": 0.4}
    yaml.dump(params, tmp_path / "params.yaml")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_command_prints_and_draws_and_moves_nothing(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["explain", "bus", "--out", "drawn"])
    said = capsys.readouterr().out
    assert "large" in said and "kept 2 of 3" in said
    assert png_array((place / "drawn/bus/nearest.png").read_bytes()).shape[2] == 3
    assert (place / "drawn/bus/scores.png").stat().st_size > 1000
    assert not (place / "data/cleaned").exists()


def test_one_class_may_have_its_own_threshold(place: Path) -> None:
    yaml = YAML()
    params = yaml.load((place / "params.yaml").read_text())
    params["clean"]["classes"] = {"bus": {"max_area": 0.2}}
    yaml.dump(params, place / "params.yaml")
    main(["bus"])
    assert (place / "data/cleaned/bus.csv").read_text().count(",1,") == 1


@pytest.mark.parametrize(
    ("clean", "sentence"),
    [
        (
            {"classes": {"tram": {}}},
            "clean.classes: Cityscapes with ADDED of parts/datasets/labels.py has no class 'tram'",
        ),
        ({"classes": {"car": {}}}, "params.yaml clean.classes: 'car' is not among truck, bus, train"),
        ({"classes": {"bus": {"max_size": 1.0}}}, "unknown key clean.classes.bus.max_size"),
        ({"max_arae": 0.1}, "unknown key clean.max_arae"),
        ({"order": "size"}, "clean.order: input should be 'stability', 'predicted_iou', 'class_score' or 'agreement'"),
    ],
)
def test_a_rule_preset_or_class_that_does_not_exist_is_one_sentence(
    place: Path, capsys: pytest.CaptureFixture[str], clean: dict[str, object], sentence: str
) -> None:
    yaml = YAML()
    params = yaml.load((place / "params.yaml").read_text())
    params["clean"] |= clean
    yaml.dump(params, place / "params.yaml")
    with pytest.raises(SystemExit) as stop:
        main(["bus"])
    error = capsys.readouterr().err
    assert stop.value.code == 2 and sentence in error and error.count("\n") == 1


def test_a_damaged_shard_is_one_sentence(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shard = next((place / "data/refined/bus").glob("*.tar"))
    shutil.copy(shard, place / "whole.tar")
    shard.write_bytes(shard.read_bytes()[:700])
    with pytest.raises(SystemExit):
        main(["explain", "bus", "--out", "drawn"])
    error = capsys.readouterr().err
    assert "is missing or damaged; run " in error and error.count("\n") == 1


def test_a_mask_of_another_size_than_its_image_is_one_sentence(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = {
        "image.png": png_bytes(np.zeros((8, 8, 3), np.uint8)),
        "mask.png": png_bytes(np.zeros((8, 9), np.uint8)),
    }
    table = (place / "data/refined/bus/scores.csv").read_text()
    uids = {f"bus-{k:06d}": "other" for k in range(3)}
    build(place / "data/refined/bus", uids, lambda _: [Sample(uid, "other", {}, files) for uid in uids], title="refine")
    (place / "data/refined/bus/scores.csv").write_text(table)
    capsys.readouterr()
    with pytest.raises(SystemExit):
        main(["explain", "bus", "--out", "drawn"])
    error = capsys.readouterr().err
    assert "data/refined/bus: the mask of bus-000001 has the size (8, 9), its image (8, 8)" in error
    assert error.count("\n") == 1


def test_explain_draws_every_column_that_the_table_has_and_needs_no_other(place: Path) -> None:
    """Preset none, one rule on: the others' columns are drawn where they are, and not missed where they are not."""
    path = place / "data/refined/bus/scores.csv"
    main(["explain", "bus", "--out", "one"])
    path.write_text(path.read_text().replace("area\n", "area,energy\n").replace("0.1\n", "0.1,3.0\n"))
    path.write_text(path.read_text().replace("0.3\n", "0.3,9.0\n").replace("0.6\n", "0.6,5.0\n"))
    main(["explain", "bus", "--out", "two"])
    one, two = (png_array((place / f"{name}/bus/scores.png").read_bytes()) for name in ("one", "two"))
    half = one.shape[1] // 2
    assert one.shape == two.shape and (two[:, half // 2 : half] < 200).any() and not np.array_equal(one, two)


def test_scores_that_no_rule_looks_at_are_drawn_behind_the_others(place: Path) -> None:
    table = Table(["a", "b"], ["", "empty_mask"], {"holes": np.array([2.0, np.nan]), "area": np.array([0.1, np.nan])},
                  np.zeros(2, np.uint64), np.zeros(2, bool))  # fmt: skip
    axes = {axis.get_title(): axis for axis in figure(table, judge(table, VALUES), VALUES).axes}
    assert next(iter(axes)) == "area (large, small)" and axes["holes"].get_ylim()[1] == 1.05, (
        "the one that was measured"
    )
    path = place / "data/refined/bus/scores.csv"
    path.write_text("uid,reason,area,holes,phash\nbus-000000,,0.1,3,0f\nbus-000001,,0.3,,1f\nbus-000002,,0.6,1,2f\n")
    with pytest.raises(SystemExit):
        main(["explain", "bus", "--out", "drawn"])
    path.write_text(path.read_text().replace("0.3,,", "0.3,2,"))
    main(["explain", "bus", "--out", "drawn"])
    assert (place / "drawn/bus/scores.png").is_file()


@pytest.mark.parametrize("clean", [["bus", "--out", "drawn"], ["bus", "truck", "--out", "drawn"]])
def test_out_without_explain_is_an_error_and_cleans_nothing(
    place: Path, capsys: pytest.CaptureFixture[str], clean: list[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        main(clean)
    assert stop.value.code == 2 and "--out says where explain draws" in capsys.readouterr().err
    assert not (place / "data/cleaned").exists()
