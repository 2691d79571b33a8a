"""A fingerprint follows what runs, and nothing else: each edit is made in a copy of the code, and looked at there."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.utils import canonicalize_name

from stages.parts.store.fingerprint import PINNED_AS, closure, fingerprint, pinned

ROOT = Path(__file__).parents[3]
LOOK = """
import json, sys
from stages.parts.store.fingerprint import fingerprint
print(json.dumps({module: fingerprint(*module.split("+")) for module in sys.argv[1:]}))
"""
STAGES = {name: f"stages.{name}.__main__" for name in ("scenes", "generate", "refine", "clean", "cutouts", "train")}
STAGES |= {name: f"stages.{name}.__main__" for name in ("evaluate", "report")}
KEYS = {  # what makes the bytes of a sample
    "a drawing": "stages.generate.task+stages.parts.store.pictures",
    "a street": "stages.scenes.sources+stages.parts.store.pictures",
}


@pytest.fixture
def changed(tmp_path: Path) -> Callable[..., set[str]]:
    """Which fingerprints an edit changes: of the stages and of what makes samples."""
    for name in ("stages", "requirements.txt"):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, tmp_path / name)

    def look() -> dict[str, str]:
        modules = [*STAGES.values(), *KEYS.values()]
        done = subprocess.run(
            [sys.executable, "-c", LOOK, *modules], cwd=tmp_path, capture_output=True, text=True, check=True
        )
        found = json.loads(done.stdout)
        return {name: found[module] for name, module in (STAGES | KEYS).items()}

    def edit(path: str, old: str, new: str) -> set[str]:
        before = look()
        text = (tmp_path / path).read_text()
        assert old in text, f"{path} no longer holds {old!r}: mend this test"
        (tmp_path / path).write_text(text.replace(old, new, 1))
        after = look()
        return {name for name in before if before[name] != after[name]}

    return edit


@pytest.mark.parametrize(
    ("path", "old", "new"),
    [
        ("stages/generate/preview.py", "Try one prompt before hours", "Try one prompt, before hours"),  # its docstring
        ("stages/parts/store/samples.py", '    """Write one sample', '    # why\n    """Write one sample'),
        ("stages/train/training.py", "\n\n\ndef train(", "\n\n\n\n\ndef train("),
        ("stages/export/__main__.py", "FORMATS", "SHAPES"),  # a room that no stage imports
        ("requirements.txt", "# The whole environment", "# All of it"),
    ],
)
def test_comments_docstrings_blank_lines_and_other_rooms_change_nothing(
    changed: Callable[..., set[str]], path: str, old: str, new: str
) -> None:
    assert changed(path, old, new) == set()


@pytest.mark.parametrize(
    ("path", "old", "new", "expected"),
    [
        ("stages/scenes/sources.py", '"val": 1_000_000', '"val": 1_000_001', {"scenes", "a street"}),
        ("stages/parts/world/streets.py", "return ", "return 0 or ", {"scenes", "a street"}),
        ("stages/generate/preview.py", "* 0.75 *", "* 0.76 *", {"generate"}),  # no drawing is made again
        ("stages/parts/pasting/place.py", "rng.normal(0, 0.1)", "rng.normal(0, 0.2)", {"train"}),
        ("stages/parts/drawing/page.html", "<h2>", "<h3>", {"report"}),  # a file that lies beside the code
    ],
)
def test_an_edit_changes_what_it_can_change_and_nothing_else(
    changed: Callable[..., set[str]], path: str, old: str, new: str, expected: set[str]
) -> None:
    assert changed(path, old, new) == expected


def test_how_a_picture_is_compressed_is_part_of_every_sample_that_has_one(changed: Callable[..., set[str]]) -> None:
    found = changed("stages/parts/store/pictures.py", "compress_level=6", "compress_level=7")
    assert {"a drawing", "a street", "scenes", "generate", "refine", "cutouts", "evaluate"} <= found


def test_an_added_class_is_part_of_all_that_holds_labels(changed: Callable[..., set[str]]) -> None:
    line = "ADDED: tuple[tuple[str, tuple[int, int, int]], ...] = ()"
    tram = '(("tram", (0, 120, 200)), ("van", (1, 2, 3)))'
    found = changed("stages/parts/datasets/labels.py", line, line[:-2] + tram)
    assert {"a street", "train", "evaluate"} <= found


def test_two_swapped_lines_of_added_classes_are_another_code(changed: Callable[..., set[str]]) -> None:
    line, pair = "ADDED: tuple[tuple[str, tuple[int, int, int]], ...] = ", ('("a", (1, 1, 1))', '("b", (2, 2, 2))')
    changed("stages/parts/datasets/labels.py", line + "()", f"{line}({pair[0]}, {pair[1]})")
    found = changed("stages/parts/datasets/labels.py", f"({pair[0]}, {pair[1]})", f"({pair[1]}, {pair[0]})")
    assert {"a street", "train", "evaluate"} <= found


def test_a_raised_pin_is_part_of_those_alone_that_import_the_package(changed: Callable[..., set[str]]) -> None:
    (pin,) = [line for line in pinned() if line.startswith("torch==")]
    found = changed("requirements.txt", f"\n{pin}\n", "\ntorch==99.0\n")
    assert {"generate", "refine", "train", "evaluate", "a drawing"} <= found
    assert not found & {"scenes", "clean", "a street"}


def test_every_import_of_ours_has_its_pin() -> None:
    """The names that differ are told by what is installed; one that nothing pins could be raised unseen."""
    installed = packages_distributions()
    pins = {canonicalize_name(line.partition("==")[0]) for line in pinned()}
    modules = [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in (ROOT / "stages").rglob("*.py")]
    _, names = closure(*(module.removesuffix(".__init__") for module in modules))
    called = {PINNED_AS.get(name, name) for name in names} - sys.stdlib_module_names - {"__future__", "stages"}
    assert {name for name in called if canonicalize_name(name) not in pins} == set()
    for name, pinned_as in PINNED_AS.items():
        if name in installed:
            assert canonicalize_name(pinned_as) in {canonicalize_name(one) for one in installed[name]}, name


def test_the_same_code_elsewhere_has_the_same_fingerprint(changed: Callable[..., set[str]], tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LOOK, "stages.train.__main__"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert re.findall("[0-9a-f]{64}", done.stdout) == [fingerprint("stages.train.__main__")]


def test_a_module_that_is_not_there_is_no_fingerprint() -> None:
    with pytest.raises(ValueError, match=r"there is no module stages\.nothing"):
        fingerprint("stages.nothing")
