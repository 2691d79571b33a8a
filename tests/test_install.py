"""`make` says what the machine lacks before anything is downloaded, and an installation that was stopped goes on."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import sysconfig
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TOOLS = ("sh", "make", "uname", "df", "du", "awk", "sed", "ls", "dirname", "touch", "rm")
# The compilers, by their usual names and by those that this Python was built with: Debian's names the machine too.
C, CXX = (
    {*usual, (sysconfig.get_config_var(name) or usual[0]).split()[0]}
    for name, usual in (
        ("CC", ("gcc", "cc")),
        ("CXX", ("g++", "c++")),
    )
)
INDEX = {"PIP_NO_INDEX": "1"}  # no network is asked for


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The only folder on PATH: what `make` needs, and Python 3.11 under that name alone."""
    folder = tmp_path / "path"
    folder.mkdir()
    for tool in (*TOOLS, *C, *CXX):
        if found := shutil.which(tool):
            (folder / tool).symlink_to(found)
    script(folder / "python3.11", f'exec {Path(sys.executable).resolve()} "$@"')
    return folder


def script(place: Path, text: str) -> None:
    place.unlink(missing_ok=True)
    place.write_text(f"#!/bin/sh\n{text}\n")
    place.chmod(0o755)


def make(path: Path, *words: str, **exported: str) -> tuple[int, str]:
    """Exit status and stderr of `make` in this repo, with a venv that is not there yet, up to the installation."""
    own = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "MAKE", "MFLAGS"))}
    venv = path.parent / "venv"
    command = [str(path / "make"), "-s", f"VENV={venv}", *words, f"{venv}/.ready"]
    done = subprocess.run(
        command, cwd=ROOT, env=own | INDEX | {"PATH": str(path)} | exported, capture_output=True, text=True
    )
    return done.returncode, done.stderr


def no_python(path: Path) -> None:
    (path / "python3.11").unlink()


def python_of_a_shim(path: Path) -> None:
    script(path / "python3.11", "echo 'pyenv: python3.11: command not found' >&2; exit 127")


def another_python(path: Path) -> None:
    no_python(path)
    script(path / "python3", "echo 3.13; echo /usr/include/python3.13; echo c++; echo cc; echo")


def under_another_name(path: Path) -> None:
    (path / "python3.11").rename(path / "python3")


def no_compiler(path: Path) -> None:
    for name in CXX:
        (path / name).unlink(missing_ok=True)


def no_c_compiler(path: Path) -> None:
    for name in C:
        (path / name).unlink(missing_ok=True)


def a_compiler_without_headers(path: Path) -> None:
    for name in CXX:
        script(path / name, "exit 1")


def no_headers(path: Path) -> None:
    told = "3.11\\n/nowhere/include/python3.11\\nc++\\ncc\\n\\n"
    script(path / "python3.11", f"case $1 in -c) printf '{told}' ;; esac")


def no_ensurepip(path: Path) -> None:
    told = f"3.11\\n{sysconfig.get_paths()['include']}\\nc++\\ncc\\nensurepip sqlite3\\n"
    script(path / "python3.11", f"case $1 in -c) printf '{told}' ;; esac")


def little_room(path: Path) -> None:
    script(path / "df", "echo head; echo '/dev/x 100 98 2000000 98% /'")


def no_linux(path: Path) -> None:
    script(path / "uname", "echo Darwin")


def something_else_in_its_place(path: Path) -> None:
    (path.parent / "venv").mkdir()
    (path.parent / "venv/thesis.tex").write_text("x")


def a_venv_of_a_python_that_is_gone(path: Path) -> None:
    (path.parent / "venv/bin").mkdir(parents=True)
    (path.parent / "venv/pyvenv.cfg").write_text("home = /nowhere")
    (path.parent / "venv/bin/python").symlink_to("/nowhere/python3.11")


LACKING: dict[Callable[[Path], None], tuple[str, str]] = {
    no_python: ("Python 3.11: there is no python3.11 that runs", "make PYTHON="),
    python_of_a_shim: ("Python 3.11: there is no python3.11 that runs", "uv python install 3.11"),
    another_python: ("Python 3.11: there is no python3.11 that runs", "make PYTHON="),
    under_another_name: ("but python3 is 3.11", "make PYTHON=python3"),
    no_compiler: ("a C++ compiler: there is no", "CXX="),
    no_c_compiler: ("a C compiler: there is no", "CC="),
    a_compiler_without_headers: ("a C++ compiler that works", "<Python.h>"),
    no_headers: ("Python's headers: there is no /nowhere/include/python3.11/Python.h", ""),
    no_ensurepip: ("modules of Python that its build has left out: ensurepip sqlite3", ""),
    little_room: ("disk: 8 GB are needed", "2 GB are free"),
    no_linux: ("Linux: this is Darwin", ""),
    something_else_in_its_place: ("holds something else", "make VENV="),
    a_venv_of_a_python_that_is_gone: ("one that is gone", "rm -r"),
}


@pytest.mark.parametrize("lacking", LACKING, ids=lambda lacking: lacking.__name__)
def test_make_says_what_is_missing_before_it_downloads(path: Path, lacking: Callable[[Path], None]) -> None:
    lacking(path)
    before = {place.relative_to(path.parent) for place in path.parent.rglob("*")}
    status, told = make(path)
    assert status == 2 and all(words in told for words in LACKING[lacking]), told
    assert "nothing was downloaded" in told and "Traceback" not in told and len(told.splitlines()) <= 5
    assert {place.relative_to(path.parent) for place in path.parent.rglob("*")} == before


def test_another_version_is_named(path: Path) -> None:
    another_python(path)
    told = make(path, "PYTHON=python3")[1]
    assert "Python 3.11: python3 is 3.13" in told


def test_all_that_is_missing_is_told_at_once(path: Path) -> None:
    no_compiler(path)
    little_room(path)
    told = make(path)[1]
    assert "a C++ compiler" in told and "disk:" in told


@pytest.mark.parametrize(
    "index", ["http://127.0.0.1:9/simple", "http://no-such-host.invalid/simple", "https://[::1]:9/simple"]
)
def test_no_network_is_said_in_seconds(path: Path, index: str) -> None:
    own = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")}
    exported = {"PIP_INDEX_URL": index, "PIP_EXTRA_INDEX_URL": "", "PIP_FIND_LINKS": "", "PATH": str(path)}
    began = time.monotonic()
    done = subprocess.run(
        ["sh", ".ci/machine", "python3.11", str(path.parent / "venv")], cwd=ROOT, env=own | exported,
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 2 and "the network: pip cannot reach" in done.stderr
    assert time.monotonic() - began < 60  # three seconds, on a machine that does nothing else


def test_a_machine_that_has_all_is_told_nothing(path: Path) -> None:
    own = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")}
    done = subprocess.run(
        ["sh", ".ci/machine", "python3.11", str(path.parent / "venv")], cwd=ROOT,
        env=own | INDEX | {"PATH": str(path)}, capture_output=True, text=True,
    )  # fmt: skip
    free = shutil.disk_usage(path).free / 1e9
    assert (done.returncode, done.stderr) == (0, "") or free < 9


def wheel(folder: Path, name: str) -> None:
    """A package of one module."""
    module = name.lower()
    files = {
        f"{module}.py": f"name = {name!r}\n",
        f"{name}-1.0.dist-info/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n",
        f"{name}-1.0.dist-info/WHEEL": "Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{path},,\n" for path in files) + f"{name}-1.0.dist-info/RECORD,,\n"
    with zipfile.ZipFile(folder / f"{name}-1.0-py3-none-any.whl", "w") as opened:
        for path, content in {**files, f"{name}-1.0.dist-info/RECORD": record}.items():
            opened.writestr(path, content)


@pytest.mark.slow
def test_an_installation_that_was_stopped_goes_on(path: Path, tmp_path: Path) -> None:
    """Between two packages, in the middle of one, and before the last word: the same make ends with all of it."""
    names = ("setuptools", "wheel", "Cython", "one", "two", "three")
    (tmp_path / "wheels").mkdir()
    for name in names:
        wheel(tmp_path / "wheels", name)
    repo = tmp_path / "repo"
    (repo / ".ci").mkdir(parents=True)
    for name in ("Makefile", ".ci/machine"):
        shutil.copyfile(ROOT / name, repo / name)
    built = {name: tmp_path / f"wheels/{name}-1.0-py3-none-any.whl" for name in names}
    hashes = {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in built.items()}
    lines = "".join(f"{name.lower()}==1.0 \\\n    --hash=sha256:{digits}\n" for name, digits in hashes.items())
    (repo / "requirements.hashes.txt").write_text(lines)
    own = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "MAKE", "MFLAGS"))}
    env = own | INDEX | {"PIP_FIND_LINKS": str(tmp_path / "wheels"), "PATH": str(path), "PYTHONWARNINGS": "error"}
    packages = repo / ".venv/lib/python3.11/site-packages"

    def in_the_middle() -> None:
        (packages / "three-1.0.dist-info/RECORD").unlink()
        (packages / "three.py").unlink()

    stops: list[Callable[[], object]] = [
        lambda: None,
        lambda: shutil.rmtree(packages / "two-1.0.dist-info"),
        in_the_middle,
        lambda: (packages / "one.py").touch(),
    ]
    for stop in stops:
        stop()
        (repo / ".venv/.ready").unlink(missing_ok=True)
        done = subprocess.run([path / "make", ".venv/.ready"], cwd=repo, env=env, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert all((packages / f"{name}-1.0.dist-info/RECORD").is_file() for name in names)
        assert all((packages / f"{name.lower()}.py").is_file() for name in names)
