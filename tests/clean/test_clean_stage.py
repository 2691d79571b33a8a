"""The stage: a keep-list and counts from the table alone; a moved threshold touches nothing else."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from stages.clean.__main__ import main
from stages.clean.params import Rules

ROOT = Path(__file__).parents[2]
THRESHOLDS = {
    "max_area": 0.40, "max_lower_half": 0.85, "min_smoothness": 1.0, "max_energy": 50.0, "min_area": 0.03,
    "min_predicted_iou": 0.70, "min_agreement": 0.5, "min_class_score": 0.5,
}  # fmt: skip
ALONE: dict[str, Any] = dict.fromkeys(THRESHOLDS) | {"min_distance": 3}
HEADER = "uid,reason,predicted_iou,agreement,area,lower_half,smoothness,energy,holes,class_score\n"
TABLE = HEADER + (
    "bus-000000,,0.9,0.8,0.2,0.5,1.0,3.0,0,0.9\n"
    "bus-000001,,0.9,0.8,0.5,0.5,1.0,80.0,0,0.9\n"
    "bus-000002,empty_seed,,,,,,,,\n"
    "bus-000003,,0.9,0.8,0.2,0.5,1.0,60.0,0,0.1\n"
)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Writes params and the table of bus, and goes there."""

    def make(table: str = TABLE, **clean: Any) -> Path:
        content = YAML(typ="safe", pure=True).load((ROOT / "params.yaml").read_text())
        content |= {
            "classes": ["truck", "bus", "train"],
            "clean": dict.fromkeys(Rules.model_fields) | {"order": "stability", "classes": {}} | THRESHOLDS | clean,
        }
        with open(tmp_path / "params.yaml", "w") as file:
            YAML(typ="safe", pure=True).dump(content, file)
        (tmp_path / "data/refined/bus").mkdir(parents=True, exist_ok=True)
        (tmp_path / "data/refined/bus/scores.csv").write_text(table)
        monkeypatch.chdir(tmp_path)
        return tmp_path

    return make


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def failure(capsys: pytest.CaptureFixture[str], argument: str = "bus") -> str:
    with pytest.raises(SystemExit) as stop:
        main([argument])
    assert stop.value.code == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1
    return error.removeprefix("error: ").rstrip("\n")


def test_the_keep_list_and_the_counts_by_hand(place: Callable[..., Path]) -> None:
    folder = place()
    main(["bus"])
    assert (folder / "data/cleaned/bus.csv").read_text() == (
        "uid,kept,reason\nbus-000000,1,\nbus-000001,0,large\nbus-000002,0,empty_seed\nbus-000003,0,ragged\n"
    )
    metrics = json.loads((folder / "data/cleaned/bus.json").read_text())
    assert (metrics["samples"], metrics["kept"]) == (4, 1)
    assert {code: n for code, n in metrics["rejected"].items() if n} == {
        "large": 1,
        "ragged": 1,
        "empty_seed": 1,
    }
    assert {code: n for code, n in metrics["alone"].items() if n} == {
        "large": 1,
        "ragged": 2,
        "other_class": 1,
    }
    assert metrics["kept"] + sum(metrics["rejected"].values()) == metrics["samples"]


def test_a_moved_threshold_touches_only_the_keep_list_and_its_metrics(place: Callable[..., Path]) -> None:
    folder = place()
    main(["bus"])
    before = contents(folder)
    place(max_energy=70.0, min_class_score=0.0)
    main(["bus"])
    after = contents(folder)
    changed = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
    assert changed == {"params.yaml", "data/cleaned/bus.csv", "data/cleaned/bus.json", "metrics/clean/bus.json"}
    assert "bus-000003,1,\n" in (folder / "data/cleaned/bus.csv").read_text()


def test_every_class_that_is_named_is_cleaned(place: Callable[..., Path]) -> None:
    folder = place()
    (folder / "data/refined/truck").mkdir()
    (folder / "data/refined/truck/scores.csv").write_text(TABLE.replace("bus-", "truck-"))
    main(["bus", "truck"])
    names = sorted(path.name for path in (folder / "data/cleaned").iterdir())
    assert names == ["bus.csv", "bus.json", "truck.csv", "truck.json"]
    assert "truck-000000,1,\n" in (folder / "data/cleaned/truck.csv").read_text()


def test_a_class_that_does_not_exist_stops_before_any_is_cleaned(
    place: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    folder = place()
    with pytest.raises(SystemExit):
        main(["bus", "tram"])
    assert "'tram' is not among" in capsys.readouterr().err and not (folder / "data/cleaned").exists()


def test_max_count_goes_by_the_order_of_the_params(place: Callable[..., Path]) -> None:
    rows = [f"bus-00000{k},,0.9,{a},0.2,0.5,1.0,3.0,0,{c}\n" for k, (a, c) in enumerate(((0.6, 0.9), (0.8, 0.7)))]
    for order, kept in (("agreement", "bus-000001,1"), ("class_score", "bus-000000,1")):
        folder = place(HEADER + "".join(rows), max_count=1, order=order)
        main(["bus"])
        assert kept in (folder / "data/cleaned/bus.csv").read_text()


def test_only_the_table_is_read(place: Callable[..., Path]) -> None:
    """No image, mask or index lies there, and none is missed."""
    folder = place()
    assert [path.name for path in (folder / "data/refined/bus").iterdir()] == ["scores.csv"]
    main(["bus"])


def test_rows_in_any_order_give_the_same_bytes(place: Callable[..., Path]) -> None:
    folder = place()
    main(["bus"])
    once = contents(folder / "data/cleaned") | contents(folder / "metrics")
    place(HEADER + "".join(f"{line}\n" for line in reversed(TABLE.splitlines()[1:])))
    main(["bus"])
    assert contents(folder / "data/cleaned") | contents(folder / "metrics") == once


def test_a_score_is_compared_as_the_float_that_it_is(place: Callable[..., Path]) -> None:
    """The last float below 1 is below 1: no rounding on the way."""
    folder = place(TABLE + "bus-000004,,0.9,0.8,0.2,0.5,0.9999999999999999,3.0,0,0.9\n")
    main(["bus"])
    assert "bus-000004,0,uneven\n" in (folder / "data/cleaned/bus.csv").read_text()


@pytest.mark.parametrize(
    ("clean", "counts", "fix"),
    [
        ({"max_area": 0.1}, "(large 3, empty_seed 1)", "loosen clean.max_area"),
        ({"max_energy": 1.0}, "(large 1, ragged 2, empty_seed 1)", "loosen clean.max_energy"),
        ({"classes": {"bus": {"max_area": 0.1}}}, "(large 3, empty_seed 1)", "loosen clean.classes.bus.max_area"),
        ({"max_area": 0.1, "classes": {"bus": {"max_energy": 99.0}}}, "(large 3,", "loosen clean.max_area"),
        ({"max_area": 0.1, "classes": {"train": {"max_area": 0.1}}}, "(large 3,", "loosen clean.max_area"),
        ({"max_area": 0.1, "classes": {"bus": {"max_area": None}}, "max_energy": 1.0}, "(ragged 3,", "max_energy"),
    ],
)
def test_nothing_kept_is_a_sentence_with_counts_and_param_and_writes_nothing(
    place: Callable[..., Path],
    capsys: pytest.CaptureFixture[str],
    clean: dict[str, Any],
    counts: str,
    fix: str,
) -> None:
    folder = place(**clean)
    error = failure(capsys)
    assert "none of 4 samples is kept" in error and counts in error and fix in error
    assert not (folder / "data/cleaned").exists() and not (folder / "metrics").exists()


@pytest.mark.parametrize(
    ("lines", "fix"),
    [
        ("bus-000000,empty_seed,,,,,,,,\n", "loosen refine.threshold"),
        ("bus-000000,empty_mask,,,,,,,,\n", "set another refine.prompt or refine.method"),
        ("bus-000000,constant,,,,,,,,\n", "generate other images"),
        ("", "the table has no sample"),
    ],
)
def test_nothing_kept_for_want_of_masks(
    place: Callable[..., Path], capsys: pytest.CaptureFixture[str], lines: str, fix: str
) -> None:
    place(HEADER + lines)
    assert fix in failure(capsys)


def test_a_missing_column_a_bad_number_and_a_missing_table_are_sentences(
    place: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    place(TABLE.replace("energy", "enthalpy").replace("class_score", "klass_score"))
    assert "data/refined/bus/scores.csv has no column energy, class_score; run" in failure(capsys)
    for bad in ("", "nan", "inf", "high"):  # a shape is always measured
        place(HEADER + f"bus-000000,,0.9,0.8,0.2,0.5,1.0,{bad},0,0.9\n")
        assert "scores.csv:2 has a score that is no number" in failure(capsys)
    place(HEADER + "bus-000000,,0.9\n")
    assert "scores.csv:2 has a score that is no number" in failure(capsys)
    assert "data/refined/truck/scores.csv is missing; run" in failure(capsys, "truck")
    assert "'tram' is not among truck, bus, train" in failure(capsys, "tram")


BITS = "uid,reason,phash\nbus-000000,,{}\n"


@pytest.mark.parametrize("bits", ["1" * 17, "-1", "0x1f", "1_0", "word"])
def test_a_hash_that_is_not_64_bits_is_a_sentence(
    place: Callable[..., Path], capsys: pytest.CaptureFixture[str], bits: str
) -> None:
    place(BITS.format("f" * 16), **ALONE)
    main(["bus"])
    place(BITS.format(bits), **ALONE)
    assert "scores.csv:2 has a score that is no number; run" in failure(capsys)


def test_rows_without_a_hash_are_kept_beside_each_other(place: Callable[..., Path]) -> None:
    folder = place(BITS.format("") + "bus-000001,,\nbus-000002,,00\nbus-000003,,01\n", **ALONE)
    main(["bus"])
    kept = (folder / "data/cleaned/bus.csv").read_text().splitlines()[1:]
    assert kept == ["bus-000000,1,", "bus-000001,1,", "bus-000002,1,", "bus-000003,0,repeated"]


def test_bytes_that_are_no_text_and_a_uid_twice_are_sentences(
    place: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    folder = place()
    (folder / "data/refined/bus/scores.csv").write_bytes(TABLE.encode() + b"bus-\xff\xfe,,0.9\n")
    assert "scores.csv is no table of UTF-8 text; run" in failure(capsys)
    place(TABLE + TABLE.splitlines()[1] + "\n")
    assert "scores.csv:6 names bus-000000 a second time; run" in failure(capsys)


def test_ranking_by_entropy_that_was_not_measured_is_a_sentence(
    place: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    table = "uid,reason,entropy\nbus-000000,,{}\nbus-000001,,\nbus-000002,,\n"
    switched_off = dict.fromkeys(THRESHOLDS)
    folder = place(table.format(""), keep_certain=0.67, **switched_off)
    assert failure(capsys) == (
        "clean.keep_certain needs the score entropy, which data/refined lacks; set refine.segmenter and run refine"
    )
    place(table.format("0.3"), keep_certain=1.0, **switched_off)
    main(["bus"])
    assert (folder / "data/cleaned/bus.csv").read_text().count(",1,") == 3


def test_usage_shows_both_forms(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main([])
    error = capsys.readouterr().err
    assert "stages.clean [-h] CLASS [CLASS ...]\n" in error and "explain [CLASS ...] [--out FOLDER]" in error


def test_help_lists_every_rule(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["--help"])
    assert stop.value.code == 0
    text = capsys.readouterr().out
    assert all(f"clean.{param} " in text for param in Rules.model_fields)
