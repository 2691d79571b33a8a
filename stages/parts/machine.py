"""What decides how a sum of floats rounds on a CPU: the number of threads and the instructions. Ours to set.

torch splits sums among threads, and ATen, oneDNN and MKL each take the widest instructions that the machine has. A
training turns a last bit into other weights. So a stage sets both before torch is imported, whatever the shell has
exported: as many threads as `engine.threads` says, and AVX2, which every x86-64 machine of the last ten years has.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

COMMANDS = ("stages", "tests.benchmarks")  # `python -m` these; who imports us, such as a test, computes as he likes
THREADS = 2  # where params.yaml says nothing that can be read: the stage will complain of it
INSTRUCTIONS = {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2", "MKL_CBWR": "AVX2"}
# Every other variable of the libraries that compute goes: OMP_THREAD_LIMIT and OMP_DYNAMIC split sums among fewer
# threads than were asked for, ONEDNN_DEFAULT_FPMATH_MODE and the TF32 overrides round otherwise, OPENBLAS_CORETYPE
# takes other instructions, MKL_VERBOSE writes into a table that a command prints.
LIBRARIES = (
    "OMP_", "GOMP_", "KMP_", "MKL_", "ONEDNN_", "DNNL_", "ATEN_", "OPENBLAS_", "GOTO_", "BLIS_", "NPY_", "OPENCV_",
    "NVIDIA_TF32_OVERRIDE", "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE",
)  # fmt: skip
WAITING = (
    "OMP_WAIT_POLICY"  # stays: whether idle threads spin or sleep rounds nothing, and a busy machine wants PASSIVE
)


def pin() -> None:
    """Set the environment of this process and of those it starts, if it runs a command of ours."""
    if is_ours():
        for name in [name for name in os.environ if name.startswith(LIBRARIES) and name != WAITING]:
            del os.environ[name]
        os.environ.update(arithmetic(threads()))


def is_ours() -> bool:
    """Whether this process runs a command of ours."""
    return command(sys.orig_argv).startswith(COMMANDS)


def arithmetic(count: int) -> dict[str, str]:
    """The variables that fix threads and instructions. MKL_DYNAMIC: or MKL takes fewer threads on a smaller machine."""
    return {"OMP_NUM_THREADS": str(count), "MKL_NUM_THREADS": str(count), "MKL_DYNAMIC": "FALSE", **INSTRUCTIONS}


def command(argv: list[str]) -> str:
    """The module that `python -m` runs; "" for anything else."""
    return argv[argv.index("-m") + 1] if "-m" in argv[:-1] else ""


def threads(path: Path | str = "params.yaml") -> int:
    """`engine.threads` of params.yaml, unchecked."""
    from ruamel.yaml import YAML  # here, after shell.py has seen to it that the locked one is found
    from ruamel.yaml.error import YAMLError

    try:
        count = YAML(typ="safe", pure=True).load(Path(path).read_text(encoding="utf-8"))["engine"]["threads"]
    except (OSError, ValueError, YAMLError, TypeError, KeyError):
        return THREADS
    return count if isinstance(count, int) and count > 0 else THREADS
