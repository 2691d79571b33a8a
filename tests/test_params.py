"""params.yaml is checked whole, before any work, and each complaint names the file, the key and the value."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap

from stages.parts.command import command
from stages.parts.errors import GraftError
from stages.parts.sections import read
from stages.preflight import Params

ROOT = Path(__file__).parents[1]
GOOD = (ROOT / "params.yaml").read_text()


def complaint(tmp_path: Path, old: str, new: str) -> str:
    """What `read` says of the repo's own params.yaml with one place changed."""
    assert old in GOOD, f"{old!r} is no longer in params.yaml: mend this test"
    (tmp_path / "params.yaml").write_text(GOOD.replace(old, new, 1))
    with pytest.raises(GraftError) as caught:
        read(Params, tmp_path / "params.yaml")
    return str(caught.value)


def test_the_repos_own_params_are_valid() -> None:
    assert read(Params, ROOT / "params.yaml").classes == ["truck", "bus", "train"]


def test_every_published_switch_has_its_published_default() -> None:
    train = read(Params, ROOT / "params.yaml").train
    assert (train.ema_at, train.teacher_norm) == ("start", "batch")
    assert (train.quality_per, train.classes_of, train.margin_of) == ("batch", "batch", "crop")


def lines_of(text: str) -> dict[str, str]:
    """The dotted key of every value of a params.yaml -> the line that it stands in; of a list, the line of its key."""
    lines, found = text.splitlines(), {}

    def walk(table: CommentedMap, above: str) -> None:
        for key, value in table.items():
            found[above + key] = lines[table.lc.key(key)[0]]
            if isinstance(value, CommentedMap) and value:
                del found[above + key]
                walk(value, f"{above}{key}.")

    walk(YAML().load(text), "")
    return found


def comment(line: str) -> str:
    return line.partition("#")[2].strip()


def test_every_param_has_a_comment() -> None:
    assert [key for key, line in lines_of(GOOD).items() if not comment(line)] == []


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("max_area:", "max_areaa:", ["unknown key clean.max_areaa"]),
        ("max_area: 0.4", "max_area: 1.40", ["clean.max_area", "less than or equal to 1", "1.4"]),
        ("max_area: 0.4", "max_area: abc", ["clean.max_area", "number", "'abc'"]),
        ("max_area: 0.4", "max_area: .nan", ["clean.max_area", "finite"]),
        ("steps: 20", "steps: 20.5", ["generate.steps", "integer", "20.5"]),
        ("steps: 20", "steps: 0", ["generate.steps", "greater than or equal to 1"]),
        ("branch: cond", "branch: left", ["generate.branch", "'uncond', 'cond' or 'both'", "'left'"]),
        (
            "- truck",
            "- unicorn",
            ["params.yaml: classes: Cityscapes with ADDED of", "has no class 'unicorn'", "road, sidewalk"],
        ),
        ("- truck", "- bus", ["params.yaml: classes: names bus twice"]),
        ("- truck", "- traffic light", ["params.yaml: classes: class 'traffic light' has a space"]),
        (
            "classes: {}",
            "classes: {unicorn: {}}",
            ["clean.classes: Cityscapes with", "has no class 'unicorn'", "road"],
        ),
        ("classes: {}", "classes: {bus: {max_areaa: 1.0}}", ["unknown key clean.classes.bus.max_areaa"]),
        ("min_height: 0.", "min_height: 0.9  # 0.", ["train.paste", "min_height must not be above max_height"]),
        ("- 0\n", "- 7\n- 7\n", ["params.yaml: seeds: names 7 twice"]),
        ("- grafted", "- baseline", ["params.yaml: recipes: names baseline twice"]),
        (
            "- grafted",
            "- crafted",
            ["recipes.1: input should be 'baseline', 'grafted', 'blobs' or 'shuffled'", "'crafted'"],
        ),
        ("height: 64 # pixels; null", "height: null # pixels; null", ["scenes", "height and width are both given"]),
        (
            "height: 64 # pixels; null = pictures of a folder as they are, for train.source_size and target_size to "
            "resize [ours]\n  width: 128",
            "height: null\n  width: null",
            ["scenes", "a scene of the small world has no size of its own"],
        ),
        ("recipes: # [ours]\n", "recipes: 7\nwas:\n", ["recipes", "list"]),
    ],
)
def test_a_bad_value_is_one_sentence_with_the_key(tmp_path: Path, old: str, new: str, words: list[str]) -> None:
    said = complaint(tmp_path, old, new)
    assert "\n" not in said
    assert all(word in said for word in ["params.yaml", *words]), said


def test_numbers_are_read_as_dvc_reads_them(tmp_path: Path) -> None:
    """YAML 1.2: 1e-2 is a number. PyYAML would hand the stage the string '1e-2'."""
    (tmp_path / "params.yaml").write_text(GOOD.replace("max_area: 0.4", "max_area: 4e-1"))
    assert read(Params, tmp_path / "params.yaml").clean.max_area == 0.4


def test_a_missing_file_and_broken_yaml_are_sentences(tmp_path: Path) -> None:
    with pytest.raises(GraftError, match="no such file"):
        read(Params, tmp_path / "params.yaml")
    (tmp_path / "params.yaml").write_text("classes: [truck\n")
    with pytest.raises(GraftError, match="no valid YAML"):
        read(Params, tmp_path / "params.yaml")


def test_a_command_turns_a_graft_error_into_status_two_and_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    @command
    def main(argv: object = None) -> None:
        raise GraftError("the file x is missing; fetch it")

    with pytest.raises(SystemExit) as caught:
        main()
    assert caught.value.code == 2
    assert capsys.readouterr().err == "error: the file x is missing; fetch it\n"


def test_an_id_that_no_picture_can_hold_is_a_sentence(tmp_path: Path) -> None:
    said = complaint(tmp_path, "source: 600", "source: {images: a, labels: b, ids: {70000: road}}")
    assert "scenes.source.ids" in said and "70000" in said


def test_params_that_are_no_utf8_are_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_bytes(GOOD.encode() + b"# caf\xe9\n")
    with pytest.raises(GraftError, match="is not UTF-8 text; save it as such"):
        read(Params, tmp_path / "params.yaml")


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (PermissionError(13, "Permission denied", "data/x"), "error: data/x: Permission denied\n"),
        (
            torch.OutOfMemoryError("CUDA out of memory"),
            "error: the GPU has not the memory for this; in params.yaml",
        ),
    ],
)
def test_what_the_machine_refuses_is_one_sentence(
    error: Exception, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    @command
    def main(argv: Sequence[str] | None = None) -> None:
        raise error

    with pytest.raises(SystemExit) as stopped:
        main()
    told = capsys.readouterr().err
    assert stopped.value.code == 2 and told.startswith(said) and told.count("\n") == 1


def test_a_look_at_the_params_loads_no_network() -> None:
    heavy = "{'torch', 'mmcv', 'mmengine', 'mmseg', 'diffusers', 'transformers', 'scipy', 'matplotlib'}"
    code = f"import sys, stages.preflight; print(*sorted({heavy} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "\n"
