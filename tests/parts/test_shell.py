"""A command does the same from the shell of a notebook, a pod or a job script as from a clean one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML

ROOT = Path(__file__).parents[2]
# A module of ours that meets what a stage does: a figure, a warning, a docstring that is read, a name outside of ASCII.
TOLD = '''
"""told"""
import os, sys, tempfile, warnings
import stages
import matplotlib.pyplot as plt
import numpy
warnings.warn("old", DeprecationWarning)
plt.figure()
def documented():
    """documented"""
with open("straßenbahn", "w") as file:
    file.write("ø")
with tempfile.TemporaryFile():
    pass
of_a_job = [name for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR") if name in os.environ]
print("straßenbahn", plt.get_backend().lower(), documented.__doc__, *of_a_job, numpy.ndarray.__name__)
'''
CLEAN = "straßenbahn agg documented ndarray"
SHELLS: dict[str, dict[str, str | None]] = {
    "clean": {},
    "a notebook": {"MPLBACKEND": "module://matplotlib_inline.backend_inline", "JPY_PARENT_PID": "1", "COLUMNS": "0"},
    "a remote desktop": {"MPLBACKEND": "TkAgg", "DISPLAY": ":77", "MATPLOTLIBRC": "/nowhere", "COLUMNS": "wide"},
    "strict warnings": {"PYTHONWARNINGS": "error"},
    "strict about one kind": {"PYTHONWARNINGS": "ignore,error::DeprecationWarning"},
    "optimised": {"PYTHONOPTIMIZE": "2", "PYTHONINSPECT": "1"},
    "ascii": {"PYTHONIOENCODING": "ascii:strict", "LANG": "C"},
    "no locale at all": {"LC_ALL": "C", "LANG": None, "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"},
    "a training pod": {"RANK": "3", "WORLD_SIZE": "8", "LOCAL_RANK": "1", "MASTER_ADDR": "x", "MASTER_PORT": "29500"},
    "slurm": {"SLURM_PROCID": "1", "SLURM_NTASKS": "4", "SLURM_JOB_ID": "7", "LOCAL_RANK": "2"},
    "no home": {"HOME": None, "XDG_CACHE_HOME": None, "XDG_CONFIG_HOME": None, "MPLCONFIGDIR": None},
    "a home that cannot be written": {"HOME": "/proc/1", "XDG_CACHE_HOME": None, "MPLCONFIGDIR": None},
    "no folder for what is temporary": {"TMPDIR": "/nowhere/tmp", "TEMP": "/nowhere", "TMP": ""},
}


def outside(shell: dict[str, str | None], **more: str) -> dict[str, str]:
    exported = os.environ | more | {name: value for name, value in shell.items() if value is not None}
    return {name: value for name, value in exported.items() if shell.get(name, "") is not None}


def run(folder: Path, *words: str, env: dict[str, str]) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([sys.executable, *words], cwd=folder, env=env, capture_output=True, stdin=subprocess.DEVNULL)


@pytest.fixture
def told(tmp_path: Path) -> Path:
    """A folder in which `python -m stages.told` is a command of ours."""
    (tmp_path / "stages").mkdir()
    for name in ("__init__.py", "parts"):
        (tmp_path / "stages" / name).symlink_to(ROOT / "stages" / name)
    (tmp_path / "stages/told.py").write_text(TOLD, encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize("shell", SHELLS)
def test_what_a_shell_leaves_does_no_harm(told: Path, shell: str) -> None:
    done = run(told, "-m", "stages.told", env=outside(SHELLS[shell]))
    assert (done.returncode, done.stdout.decode().strip()) == (0, CLEAN), done.stderr.decode()
    assert (told / "straßenbahn").read_bytes() == "ø".encode()


def test_the_locked_packages_come_before_those_of_another_project(told: Path) -> None:
    for name in ("numpy", "matplotlib", "dateutil", "queue"):
        (told / "other" / name).mkdir(parents=True)
        (told / "other" / name / "__init__.py").write_text("raise ImportError('of another project')")
    done = run(told, "-m", "stages.told", env=outside({"PYTHONPATH": str(told / "other")}))
    assert done.stdout.decode().strip() == CLEAN, done.stderr.decode()


def test_a_user_whom_the_machine_does_not_know_has_a_name(told: Path) -> None:
    (told / "site").mkdir()
    (told / "site/sitecustomize.py").write_text(
        "import pwd\ndef unknown(uid): raise KeyError(uid)\npwd.getpwuid = unknown\n"
    )
    (told / "stages/told.py").write_text("import getpass; print(getpass.getuser())")
    nobody: dict[str, str | None] = dict.fromkeys(("USER", "LOGNAME", "LNAME", "USERNAME"))
    done = run(told, "-m", "stages.told", env=outside(nobody, PYTHONPATH=str(told / "site")))
    assert done.stdout.decode().strip() == f"user-{os.getuid()}", done.stderr.decode()


def test_torchrun_keeps_what_it_tells_its_processes(told: Path) -> None:
    (told / "stages/told.py").write_text("import os; print(os.environ['RANK'], os.environ['MASTER_ADDR'])")
    shell = SHELLS["a training pod"] | {"TORCHELASTIC_RUN_ID": "none"}
    assert run(told, "-m", "stages.told", env=outside(shell)).stdout.split() == [b"3", b"x"]


def test_who_imports_us_keeps_his_shell(told: Path) -> None:
    code = "import os, stages; print(os.environ['MPLBACKEND'], os.environ['RANK'], os.environ['OMP_THREAD_LIMIT'])"
    exported = {"MPLBACKEND": "svg", "RANK": "0", "OMP_THREAD_LIMIT": "4"}
    assert run(told, "-c", code, env=outside({}, **exported)).stdout.split() == [b"svg", b"0", b"4"]


@pytest.mark.parametrize("shell", ["a notebook", "optimised", "no home"])
def test_a_stage_writes_the_same_bytes_from_any_shell(tmp_path: Path, shell: str) -> None:
    """scenes check draws with matplotlib, scenes writes shards."""
    params = YAML(typ="safe", pure=True).load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    params["scenes"] |= {"source": 2, "target": 2, "val": 1, "test": 1}
    written = []
    for name in ("clean", shell):
        folder = tmp_path / name
        folder.mkdir()
        YAML(pure=True).dump({"scenes": params["scenes"], "engine": params["engine"]}, folder / "params.yaml")
        for words in ((), ("check",)):
            done = run(folder, "-m", "stages.scenes", *words, env=outside(SHELLS[name], PYTHONPATH=str(ROOT)))
            assert done.returncode == 0, done.stderr.decode()
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        written.append([(path.relative_to(folder), path.read_bytes()) for path in files])
    assert len(written[0]) > 5 and written[0] == written[1]
