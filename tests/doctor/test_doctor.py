"""The page to paste into a report of a fault: what it tells, and what it keeps to itself."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from stages.doctor.clone import packages
from stages.doctor.hardware import widest
from stages.doctor.private import without_paths
from stages.doctor.training import HERE, Trained, beside
from stages.parts.sections import read
from stages.scenes import params as staging
from stages.train import params as training

ROOT = Path(__file__).parents[2]


class Params(training.Params, staging.Params):
    """What the stages of the fixed training read."""


def test_the_page_tells_all_and_no_place_below_the_home_folder(tmp_path: Path) -> None:
    """With the folder above this clone as the home folder; and ten iterations give the recorded bytes."""
    home = ROOT.parent
    env = os.environ | {"HOME": str(home), "TMPDIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-m", "stages.doctor"], cwd=ROOT, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    heads = [line.split(":")[0] for line in done.stdout.splitlines() if line[:1].strip()]
    assert heads == [
        "system", "cpu", "memory", "torch", "gpu", "packages", "disk", "git", "dvc doctor", "dvc status", "training",
    ]  # fmt: skip
    assert str(ROOT) not in done.stdout and f"{home}/" not in done.stdout and "Traceback" not in done.stdout
    told = done.stdout.partition("training:")[2]
    assert "to the recorded bytes" in told or widest(Path("/proc/cpuinfo").read_text()) not in ("avx2", "avx512f"), told


def test_the_fixed_training_is_one_that_the_stages_read() -> None:
    params = read(Params, HERE / "params.yaml")
    assert params.train.iterations == 10 and params.engine.threads == 2


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("/home/eve/graft/data: missing", "./data: missing"),
        ("at '/home/eve/.cache/dvc', and", "at '~', and"),
        ("/home/eve", "~"),
        ("/home/evelyn/x and /home/eve/secret/thesis", "/home/evelyn/x and ~"),
        ("/home/eve/graft-2/x", "~"),
        ("/data/graft", "/data/graft"),
    ],
)
def test_no_path_below_the_home_folder_is_shown(text: str, shown: str) -> None:
    assert without_paths(text, Path("/home/eve/graft"), "/home/eve") == shown


@pytest.mark.parametrize("home", ["/", "/root", "/home/eve/"])
def test_a_home_that_is_the_root_hides_nothing_else(home: str) -> None:
    assert without_paths("/usr/lib/x", Path("/work"), home) == "/usr/lib/x"


def test_packages_that_are_not_as_locked_are_named() -> None:
    told = packages(["torch==0.1", "no-such-package==3", "ruamel_yaml==0"]).splitlines()
    assert told[0] == "0 of 3 as locked" and told[1].startswith("torch is ") and told[1].endswith(", locked is 0.1")
    assert told[2] == "no-such-package is missing, locked is 3" and "missing" not in told[3]


@pytest.mark.parametrize(
    ("losses", "instructions", "words"),
    [
        ([1.0, 2.0], "avx2", "every loss is as recorded"),
        ([1.0, 2.5], "avx512f", "losses differ from iteration 2 on, by 0.5 at most"),
        ([0.0, 2.0], "sse4_2", "recorded with AVX2, which this CPU has not"),
        ([1.0, 2.0], "asimd", "other bytes are to be expected here"),
    ],
)
def test_other_bytes_are_told_by_how_much(losses: list[float], instructions: str, words: str) -> None:
    told = beside(Trained("b" * 64, losses), Trained("a" * 64, [1.0, 2.0]), instructions)
    assert told.startswith("other bytes than recorded: bbbbbbbbbbbb, not aaaaaaaaaaaa") and words in told
    assert beside(Trained("a" * 64, losses), Trained("a" * 64, losses), instructions).startswith("2 iterations to the")


@pytest.mark.parametrize(
    ("cpuinfo", "name"),
    [("flags\t\t: fpu avx avx2 bmi1", "avx2"), ("flags : sse4_2 avx512f avx", "avx512f"),
     ("Features\t: fp asimd", "asimd"), ("flags : fpu", None), ("", None)],
)  # fmt: skip
def test_the_widest_instructions_are_read(cpuinfo: str, name: str | None) -> None:
    assert widest(cpuinfo) == name
