"""explain: the counts are the verdicts', the sheet shows what lies nearest to a threshold, files are drawn."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from ruamel.yaml import YAML

from stages.clean.__main__ import main
from stages.clean.explain import counts, histograms, nearest, sheet
from stages.clean.rules import RULES, Limit, judge
from stages.clean.table import Table
from stages.samples import Sample, build, png_array, png_bytes

ROOT = Path(__file__).parents[2]
AREAS = (0.1, 0.39, 0.41, 0.5, 0.2, 0.9)


def table() -> Table:
    reasons = [""] * len(AREAS) + ["empty_seed"]
    areas = np.array([*AREAS, np.nan])
    return Table([f"bus-{k:06d}" for k in range(7)], reasons, {"area": areas}, np.zeros(7, np.uint64))


LARGE = next(rule for rule in RULES if rule.code == "large")
VALUES = {"max_area": 0.4, "min_area": 0.15}


def test_counts_are_those_of_the_verdicts() -> None:
    lines = [line.split() for line in counts(judge(table(), VALUES), VALUES).splitlines()]
    assert lines[1] == ["large", "max_area", "0.4", "3", "3"]
    assert lines[2] == ["small", "min_area", "0.15", "1", "1"]
    assert lines[3] == ["empty_seed", "came", "with", "it", "1"]
    assert lines[4] == ["kept", "2", "of", "7"]


def test_the_nearest_come_first_on_each_side() -> None:
    assert isinstance(LARGE, Limit)
    assert nearest(table(), LARGE, 0.4) == ([1, 4, 0], [2, 3, 5])
    assert nearest(table(), LARGE, 0.4, count=1) == ([1], [2])


def test_the_sheet_shows_kept_and_rejected_samples_and_asks_for_no_other() -> None:
    seen: list[str] = []

    def see(uid: str) -> tuple[np.ndarray, np.ndarray]:
        seen.append(uid)
        return np.full((8, 8, 3), 200, np.uint8), np.full((8, 8), 255, np.uint8)

    picture = sheet(table(), VALUES, see)
    assert picture.dtype == np.uint8 and picture.shape[2] == 3 and (picture == 200).any()
    assert "bus-000006" not in seen and len(seen) == 12
    assert sheet(table(), {}, see).ndim == 3


def test_histograms_are_a_png_even_when_nothing_was_measured() -> None:
    assert histograms(table(), VALUES)[:4] == b"\x89PNG"
    nothing = Table(["a"], ["constant"], {"area": np.array([np.nan])}, np.zeros(1, np.uint64))
    assert histograms(nothing, VALUES)[:4] == b"\x89PNG"
    assert histograms(table(), {})[:4] == b"\x89PNG"


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
    params["clean"] |= {"preset": "none", "max_area": 0.4}
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
        ({"classes": {"tram": {}}}, "params.yaml clean.classes: 'tram' is not among truck, bus, train"),
        ({"classes": {"bus": {"max_size": 1.0}}}, "unknown key clean.classes.bus.max_size"),
        ({"max_arae": 0.1}, "unknown key clean.max_arae"),
        ({"preset": "lax"}, "clean.preset: input should be 'none', 'ucg' or 'strict'"),
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
    assert "is missing or damaged; delete this file" in error and error.count("\n") == 1
