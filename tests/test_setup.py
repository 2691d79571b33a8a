"""The two commands, CI's script and the lock."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
# mmcv-lite and onedl-mmsegmentation ask for these; onedl-mmengine and opencv-python-headless stand in for them.
STOOD_IN_FOR = {"mmengine", "opencv-python"}


def lock() -> dict[str, str]:
    """Canonical name -> pinned version, of requirements.txt."""
    lines = [line for line in (ROOT / "requirements.txt").read_text().splitlines() if line[0] != "#"]
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[^=;, ]+", line) for line in lines)
    return {canonicalize_name(name): version for name, version in (line.split("==") for line in lines)}


def test_the_lock_holds_all_that_its_packages_ask_for() -> None:
    pinned, missing = lock(), set()
    for name in pinned:
        try:
            asked = [Requirement(text) for text in distribution(name).requires or []]
        except PackageNotFoundError:
            continue  # what builds packages need not be there any more
        for one in asked:
            if one.marker is None or one.marker.evaluate({"extra": ""}):
                version = pinned.get(canonicalize_name(one.name))
                if version is None or not one.specifier.contains(version, prereleases=True):
                    missing.add(canonicalize_name(one.name))
    assert missing <= STOOD_IN_FOR


def test_what_builds_the_packages_from_source_is_pinned() -> None:
    """pydensecrf2's own build asks for this Cython."""
    assert lock()["cython"] == "0.29.36" and {"setuptools", "wheel"} <= lock().keys()
    steps = make("-B", "VENV=/tmp/none", "-n", "/tmp/none/.ready").stdout.splitlines()
    first, then = (next(k for k, step in enumerate(steps) if word in step) for word in ("-r /tmp", "-r requirements"))
    assert first < then and "--no-build-isolation" in steps[then]
    assert all("--require-hashes" in steps[step] for step in (first, then))


def test_every_package_of_the_lock_is_installed_by_its_hashes() -> None:
    entries = (ROOT / "requirements.hashes.txt").read_text().replace(" \\\n", " ").splitlines()
    assert all(re.fullmatch(r"\S+==\S+( +--hash=sha256:[0-9a-f]{64})+", entry) for entry in entries)
    pins = [entry.split()[0].split("==") for entry in entries]
    assert {canonicalize_name(name): version for name, version in pins} == lock()


def make(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["make", *words], cwd=ROOT, capture_output=True, text=True, check=True, env=outside())


def outside() -> dict[str, str]:
    """The environment without what a make above hands to those below it."""
    return {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")}


@pytest.mark.parametrize(("venv", "first"), [(".venv", f"{ROOT}/.venv/bin"), ("/opt/graft", "/opt/graft/bin")])
def test_the_venv_may_lie_anywhere(venv: str, first: str) -> None:
    (path,) = re.findall(r"^PATH := (.*)$", make("-pn", f"VENV={venv}", "-o", f"{venv}/.ready", "lint").stdout, re.M)
    assert path.split(":")[0] == first


def test_repro_looks_before_it_runs() -> None:
    steps = make("-n", "-o", ".venv/.ready", "repro").stdout
    assert steps.index("stages.preflight") < steps.index("dvc repro") < steps.index("stages.report --table")


@pytest.mark.parametrize(
    ("second", "status", "said"),
    [("echo all is up to date", 0, "up to date"), ("echo the disk is full; exit 3", 1, "the disk is full"),
     ("echo Running stage x", 1, "Running stage x")],
)  # fmt: skip
def test_ci_prints_what_a_second_run_said_whether_it_failed_or_not(
    tmp_path: Path, second: str, status: int, said: str
) -> None:
    (tmp_path / ".ci").mkdir()
    shutil.copy(ROOT / ".ci/run", tmp_path / ".ci/run")
    recipe = f"@if [ -f once ]; then {second}; else touch once; fi"
    (tmp_path / "Makefile").write_text(f"test:\n\t@true\nrepro:\n\t{recipe}\n")
    done = subprocess.run([tmp_path / ".ci/run"], capture_output=True, text=True, env=outside())
    assert (done.returncode, said in done.stdout) == (status, True)
