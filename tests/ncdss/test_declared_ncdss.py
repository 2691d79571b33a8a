"""lines/ncdss/dvc.yaml declares what the stages read: a changed param runs what it can change."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from stages.ncdss.params import Ncdss
from stages.ncdss.preset import VALUES
from stages.ncdss.preset import main as preset
from stages.parts.sections import read
from stages.preflight import Params
from tests.test_params import comment, lines_of

ROOT = Path(__file__).parents[2]
LINE = YAML(typ="safe").load((ROOT / "lines/ncdss/dvc.yaml").read_text())
STAGES = LINE["stages"]
ORDER = ["base", "regions", "cluster", "basic", "rank", "eums", "evaluate", "summary"]


def paths(stage: str, kind: str) -> set[str]:
    found = STAGES[stage].get(kind, [])
    return {next(iter(one)) if isinstance(one, dict) else one for one in found}


def test_the_stages_are_the_modules_of_the_room_in_the_order_of_the_method() -> None:
    assert list(STAGES) == ORDER
    for name, stage in STAGES.items():
        assert stage["cmd"].split()[:3] == ["python", "-m", f"stages.ncdss.{name}"] and stage["wdir"] == "../.."
        assert f"metrics/code/ncdss.{name}" in stage["deps"]


@pytest.mark.parametrize("stage", ORDER)
def test_what_a_stage_reads_of_the_line_an_earlier_one_writes(stage: str) -> None:
    written = {path for before in ORDER[: ORDER.index(stage)] for path in paths(before, "outs")}
    for dep in paths(stage, "deps"):
        if "ncdss" in dep and not dep.startswith("metrics/code"):
            assert any(path == dep or path.startswith(f"{dep}/") for path in written), dep


@pytest.mark.parametrize("stage", ORDER)
def test_a_stage_declares_the_params_that_its_code_names(stage: str) -> None:
    """Every `ncdss.SECTION` in the stage's file, and in what all trainings share."""
    code = (ROOT / f"stages/ncdss/{stage}.py").read_text()
    if stage in ("base", "basic", "eums"):
        code += (ROOT / "stages/ncdss/training.py").read_text().partition("def run(")[0]
    body = re.sub(r'"[^"\n]*"', "", code.partition('"""\n\nfrom __future__')[2])  # an error may name any param
    named = set(re.findall(r"(?<!stages\.)\bncdss\.([a-z]+)", body)) & set(Ncdss.model_fields)
    declared = {param.removeprefix("ncdss.").partition(".")[0] for param in STAGES[stage]["params"]} - {"engine"}
    cells = {"rows", "seeds"} if "matrix" in STAGES[stage] else set()
    unread = {"paste"} if stage == "base" else set()  # shared code that no base training comes to
    assert named - cells - unread <= declared, named - declared


def test_a_changed_lambda_is_a_param_of_rank_alone() -> None:
    assert [name for name, stage in STAGES.items() if "ncdss.rank" in stage["params"]] == ["rank"]
    below = {"data/ncdss/ranked/${item.row}-${item.seed}.csv"}
    assert below <= paths("eums", "deps") and not below & paths("basic", "deps")


def test_no_uncached_out_keeps_a_stage_from_being_saved() -> None:
    for stage in STAGES.values():
        for out in stage.get("outs", []):
            assert not isinstance(out, dict) or "cache" not in next(iter(out.values()))


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return Path(shutil.copy(ROOT / "params.yaml", tmp_path))


def test_the_repos_own_params_are_those_of_the_preset_clean_which_comes_back(file: Path) -> None:
    before, said = read(Params, file).ncdss, comments(file)
    preset(["parity"])
    parity = read(Params, file).ncdss
    assert (parity.preset, parity.learning.halve, parity.eums.teacher, parity.regions.min_pixels, parity.data.size) == (
        "parity", True, "train", 1500, [512, 512],
    )  # fmt: skip
    preset(["clean"])
    assert read(Params, file).ncdss == before and comments(file) == said


def comments(file: Path) -> dict[str, str]:
    return {key: comment(line) for key, line in lines_of(file.read_text()).items()}


def test_both_presets_name_the_same_values() -> None:
    parity, clean = (
        {f"{name}.{key}" for name, values in VALUES[which].items() if isinstance(values, dict) for key in values}
        for which in ("parity", "clean")
    )
    assert parity == clean and {f"ncdss.{key}" for key in parity} <= set(lines_of((ROOT / "params.yaml").read_text()))
