"""What is advised when samples are lost is the cheapest way back, names the stage, and throws nothing away."""

from __future__ import annotations

from pathlib import Path

import pytest

from stages.parts.errors import GraftError
from stages.parts.store.shards import Shards
from stages.parts.store.way_back import way_back

ROOT_LOCK = """
schema: '2.0'
stages:
  generate@truck: {cmd: python -m stages.generate truck, outs: [{path: data/generated/truck, md5: a.dir}]}
  evaluate@grafted-0: {cmd: x, outs: [{path: data/evaluated/grafted-0, md5: b.dir}]}
  report: {cmd: python -m stages.report}
"""
LINE_LOCK = """
stages:
  masks: {cmd: python -m stages.primaps.masks, outs: [{path: data/primaps/masks}]}
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("dvc.lock").write_text(ROOT_LOCK)
    Path("lines/primaps").mkdir(parents=True)
    Path("lines/primaps/dvc.lock").write_text(LINE_LOCK)
    return tmp_path


@pytest.mark.parametrize(
    ("folder", "stage"),
    [
        ("data/generated/truck", "`dvc repro -s -f generate@truck`:"),
        ("data/evaluated/grafted-0/val", "`dvc repro -s -f evaluate@grafted-0`:"),
        ("data/primaps/masks", "`dvc repro -s -f lines/primaps/dvc.yaml:masks`:"),
        ("data/generated/bus", "the stage that writes data/generated/bus (`dvc repro -s -f STAGE`):"),
    ],
)
def test_the_stage_is_named_as_dvc_is_told_it(project: Path, folder: str, stage: str) -> None:
    assert way_back(Path(folder)) == f"run {stage} all that is whole is kept, only what was lost is made"


@pytest.mark.parametrize(
    "lock", ["", "stages", "stages: []", "stages: {a: {outs: [1]}}", "a: [", "\0", "stages: 2026-02-30"]
)
def test_a_lock_that_is_damaged_itself_spoils_no_advice(project: Path, lock: str) -> None:
    Path("dvc.lock").write_text(lock)
    with pytest.raises(GraftError, match=r"index.jsonl is missing; .*run the stage that writes data/generated/truck"):
        Shards("data/generated/truck")
