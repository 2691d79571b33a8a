"""Threads and instructions are the stage's to set, whatever the shell has exported."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from stages.parts.machine import INSTRUCTIONS, WAITING, arithmetic, command, threads

ROOT = Path(__file__).parents[2]
SHOW = "import os, stages, torch; print(torch.get_num_threads(), torch.backends.cpu.get_cpu_capability())"


def computed(folder: Path, module: str, code: str = SHOW, **exported: str) -> str:
    """What torch computes with in `python -m module`, a module that says so, started with these variables."""
    room = folder / "stages" / module
    room.parent.mkdir(parents=True, exist_ok=True)
    for name in ("__init__.py", "parts"):
        if not (folder / "stages" / name).exists():
            (folder / "stages" / name).symlink_to(ROOT / "stages" / name)
    room.with_suffix(".py").write_text(code)
    env = {name: value for name, value in os.environ.items() if name not in ("OMP_NUM_THREADS", *INSTRUCTIONS)}
    done = subprocess.run(
        [sys.executable, "-m", f"stages.{module}"], cwd=folder, env=env | exported, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize("exported", [{}, {"OMP_NUM_THREADS": "1"}, {"OMP_NUM_THREADS": "8", "MKL_CBWR": "COMPATIBLE"}])
def test_no_number_depends_on_what_was_exported(tmp_path: Path, exported: dict[str, str]) -> None:
    (tmp_path / "params.yaml").write_text("engine:\n  threads: 3\n")
    assert computed(tmp_path, "told", **exported) == "3 AVX2"


@pytest.mark.parametrize(
    "exported",
    [
        {"OMP_THREAD_LIMIT": "1", "OMP_DYNAMIC": "TRUE", "OMP_PLACES": "{0}", "SLURM_CPUS_PER_TASK": "1"},
        {"KMP_AFFINITY": "compact", "KMP_DUPLICATE_LIB_OK": "TRUE", "MKL_VERBOSE": "1", "MKL_THREADING_LAYER": "TBB"},
        {"DNNL_MAX_CPU_ISA": "SSE41", "ONEDNN_DEFAULT_FPMATH_MODE": "BF16", "OPENBLAS_CORETYPE": "Prescott"},
        {"NVIDIA_TF32_OVERRIDE": "1", "GOMP_CPU_AFFINITY": "0", "NPY_DISABLE_CPU_FEATURES": "AVX2 FMA3"},
    ],
)
def test_a_job_script_leaves_no_variable_to_the_libraries_that_compute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exported: dict[str, str]
) -> None:
    monkeypatch.delenv(WAITING, raising=False)  # it may stay, and these tests may run with it
    code = "import os, stages; from stages.parts.machine import LIBRARIES as own; "
    code += "print(*sorted(name for name in os.environ if name.startswith(own)))"
    assert computed(tmp_path, "told", code, **exported).split() == sorted(arithmetic(2))


@pytest.mark.parametrize("text", ["", "engine: 7", "engine: {threads: many}", "engine: [", "engine: {threads: -1}"])
def test_what_cannot_be_read_is_left_to_the_stage_to_complain_of(tmp_path: Path, text: str) -> None:
    (tmp_path / "params.yaml").write_text(text)
    assert threads(tmp_path / "params.yaml") == threads(tmp_path / "none.yaml") == 2


def test_only_commands_of_ours_are_pinned() -> None:
    assert command(["python", "-u", "-m", "stages.train", "grafted", "0"]) == "stages.train"
    assert command(["python", "-m", "pytest"]) == "pytest" and command(["python", "x.py", "-m"]) == ""
