"""The command that writes a preset's limits into params.yaml, whose own are strict's: valid, or not at all."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from dvc.utils.hydra import apply_overrides

from stages.clean.params import Rules
from stages.clean.preset import main
from stages.clean.presets import PRESETS
from stages.parts.errors import GraftError
from stages.parts.preset import write_preset
from stages.parts.sections import read
from stages.preflight import Params
from tests.test_params import comment, lines_of

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copy(ROOT / "params.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "params.yaml"


@pytest.mark.parametrize("name", PRESETS)
def test_it_writes_the_limits_and_switches_every_other_rule_off(file: Path, name: str) -> None:
    main([name])
    assert (
        read(Params).clean.model_dump(include=set(Rules.model_fields))
        == dict.fromkeys(Rules.model_fields) | PRESETS[name]
    )


def test_the_repos_own_limits_are_strict_to_the_byte_and_come_back_after_others(file: Path) -> None:
    before = file.read_text()
    for name in ("strict", "none", "ucg", "strict"):
        main([name])
    assert file.read_text() == before


def test_order_the_limits_of_single_classes_and_comments_stay(file: Path) -> None:
    apply_overrides(file, ["clean.order=agreement", "+clean.classes.bus={max_area:0.2}"])
    before = lines_of(file.read_text())
    main(["ucg"])
    after, clean = lines_of(file.read_text()), read(Params).clean
    assert (clean.order, clean.thresholds("bus")) == ("agreement", PRESETS["ucg"] | {"max_area": 0.2})
    assert {key: comment(line) for key, line in after.items()} == {key: comment(line) for key, line in before.items()}


@pytest.mark.parametrize(
    "override", ["clean.max_area=0.30", "clean.min_area=null", "seeds=[0,1]", "train.crop=[64,64]"]
)
def test_it_works_on_the_file_that_dvc_leaves(file: Path, override: str) -> None:
    apply_overrides(file, [override])
    main(["ucg"])
    assert read(Params).clean.thresholds("bus") == PRESETS["ucg"]


@pytest.mark.parametrize("values", [{"clean": {"max_area": 2.0}}, {"clean": {"max_arae": 0.2}}, {"clean": 7}])
def test_what_would_not_be_valid_is_not_written(file: Path, values: dict[str, object]) -> None:
    before = file.read_bytes()
    with pytest.raises(GraftError, match=r"params\.yaml is left as it was: with the preset it would not be valid"):
        write_preset(values, Params)
    assert file.read_bytes() == before and [each.name for each in file.parent.iterdir()] == ["params.yaml"]


def test_a_file_that_is_not_valid_is_left_alone(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_text(file.read_text().replace("max_area: 0.4", "max_area: 4", 1))
    before = file.read_bytes()
    with pytest.raises(SystemExit) as stop:
        main(["ucg"])
    assert stop.value.code == 2 and "clean.max_area" in capsys.readouterr().err
    assert file.read_bytes() == before
