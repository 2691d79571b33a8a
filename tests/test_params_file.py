"""params.yaml has the form that DVC leaves, and no command of ours leaves a broken one."""

import difflib
import shutil
from pathlib import Path

import pytest
from dvc.utils.hydra import apply_overrides

from stages.clean.preset import main as clean_preset
from stages.clean.presets import PRESETS
from stages.parts.errors import GraftError
from stages.parts.preset import write_preset
from stages.parts.sections import read
from stages.preflight import Params
from stages.train.preset import main as train_preset
from tests.test_params import comment, lines_of

ROOT = Path(__file__).parents[1]


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return Path(shutil.copy(ROOT / "params.yaml", tmp_path))


def differing(file: Path) -> list[str]:
    """The lines that are new, and those that are gone."""
    lines = difflib.ndiff((ROOT / "params.yaml").read_text().splitlines(), file.read_text().splitlines())
    return [line for line in lines if line[0] in "+-"]


def comments(file: Path) -> dict[str, str]:
    return {key: comment(line) for key, line in lines_of(file.read_text()).items()}


@pytest.mark.parametrize(
    ("override", "lines"),
    [
        ("clean.max_area=0.30", 2), ("clean.max_lower_half=0.9", 2), ("clean.max_area=null", 2), ("train.lr=0.01", 2),
        ("generate.count=84", 2), ("seeds=[0,1,2]", 2), ("recipes=[baseline,grafted,blobs,shuffled]", 2),
        ("classes=[truck]", 2), ("train.margin=[1,0,0,0]", 2), ("train.crop=[64,64]", 3), ("engine.threads=4", 2),
    ],
)  # fmt: skip
def test_dvcs_own_override_changes_the_lines_of_its_value_alone(file: Path, override: str, lines: int) -> None:
    apply_overrides(str(file), [override])
    changed = differing(file)
    assert 0 < len(changed) <= lines, changed
    assert not [line for line in changed if line.lstrip("+- ").startswith("#")], "a comment moved"
    assert comments(file) == comments(ROOT / "params.yaml")
    read(Params, file)


def test_a_class_gets_a_limit_of_its_own_from_the_command_line(file: Path) -> None:
    apply_overrides(str(file), ["+clean.classes.train={max_area:0.5,max_energy:null}"])
    clean = read(Params, file).clean
    assert clean.thresholds("bus") == PRESETS["strict"]
    own = PRESETS["strict"] | {"max_area": 0.5}
    assert clean.thresholds("train") == {param: limit for param, limit in own.items() if param != "max_energy"}


def test_a_value_put_back_is_the_file_of_before(file: Path) -> None:
    for value in ("0.3", "0.4"):
        apply_overrides(str(file), [f"clean.max_area={value}"])
    for value in ("[0,1,2]", "[0]"):
        apply_overrides(str(file), [f"seeds={value}"])
    assert differing(file) == []


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_writes_every_limit_and_nothing_else(file: Path, name: str) -> None:
    apply_overrides(str(file), ["clean.max_area=0.11"])  # as an experiment left it
    clean_preset([name])
    section = read(Params, file).clean.model_dump(exclude={"order", "classes"})
    assert {param: limit for param, limit in section.items() if limit is not None} == PRESETS[name]
    others = [line for line in differing(file) if not line.lstrip("+- ").startswith(("max_", "min_"))]
    assert others == []


def test_strict_is_what_the_repo_has_to_the_byte_and_comes_back_after_others(file: Path) -> None:
    for name in ("strict", "none", "ucg", "strict"):
        clean_preset([name])
    assert differing(file) == []


def test_a_preset_of_clean_leaves_the_order_single_classes_and_comments(file: Path) -> None:
    apply_overrides(str(file), ["clean.order=agreement", "+clean.classes.bus={max_area:0.2}"])
    before = comments(file)
    clean_preset(["ucg"])
    clean = read(Params, file).clean
    assert (clean.order, clean.thresholds("bus")) == ("agreement", PRESETS["ucg"] | {"max_area": 0.2})
    assert comments(file) == before


@pytest.mark.parametrize("name", ["daformer", "hrda", "ucg"])
def test_a_preset_after_an_experiment_leaves_a_file_that_can_be_read(file: Path, name: str) -> None:
    apply_overrides(str(file), ["clean.max_area=0.30"])
    train_preset([name])
    assert read(Params, file).clean.max_area == 0.3
    before = lines_of(file.read_text())
    apply_overrides(str(file), ["train.ema=0.9"])
    after = lines_of(file.read_text())
    assert [key for key in before if before[key] != after[key]] == ["train.ema"]


@pytest.mark.parametrize("broken", ["clean: [", "clean:\n  max_area: 7\n", "\ud83d".encode("utf-16", "surrogatepass")])
def test_a_file_that_is_not_valid_is_left_as_it_is(file: Path, broken: str | bytes) -> None:
    content = broken if isinstance(broken, bytes) else (ROOT / "params.yaml").read_bytes() + broken.encode()
    file.write_bytes(content)
    with pytest.raises(SystemExit) as stopped:
        clean_preset(["ucg"])
    assert stopped.value.code == 2 and file.read_bytes() == content


def test_values_that_would_not_be_valid_are_not_written(file: Path) -> None:
    before = file.read_bytes()
    with pytest.raises(GraftError, match=r"params.yaml is left as it was: .*clean.max_area"):
        write_preset({"clean": {"max_area": 3.0}}, Params)
    assert file.read_bytes() == before
