"""What the shell of a notebook, a pod or a job script leaves in the environment, and a command of ours can do without.

Four things are seen to before anything else is imported: the interpreter (warnings that are errors, docstrings that
are gone, text that is ASCII), where modules are found, what libraries would take for their own, and the name of a
user whom the machine does not know. GPUs, proxies, caches and credentials stay as they are exported.
"""

from __future__ import annotations

import codecs
import os
import pwd
import sys
from collections.abc import Iterable

from stages.parts.machine import is_ours

SET = {"MPLBACKEND": "Agg"}  # a notebook's backend is no module here
DROPPED = (
    "MATPLOTLIBRC",
    "USE_TF", "USE_TORCH", "USE_JAX", "USE_FLAX", "USE_SAFETENSORS",  # transformers: without torch
    "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD",  # pickles
)  # fmt: skip
# Of a job of several processes, which Slurm or a pod has set; torchrun sets them anew for the processes it starts.
PROCESSES = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
TORCHRUN = "TORCHELASTIC_RUN_ID"


def settle() -> None:
    """See to the environment of this process and of those it starts, if it runs a command of ours."""
    if not is_ours():
        return
    if wrong := unfit():
        environment = {name: value for name, value in os.environ.items() if name not in wrong}
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], environment | {"PYTHONUTF8": "1"})
    given = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    sys.path[:] = locked_first(sys.path, given)
    for name in (*DROPPED, *(() if TORCHRUN in os.environ else PROCESSES)):
        os.environ.pop(name, None)
    os.environ.update(SET)
    try:
        pwd.getpwuid(os.getuid())
    except KeyError:  # a pod's user without an entry, whose name torch asks for
        os.environ.setdefault("LOGNAME", f"user-{os.getuid()}")


def unfit() -> set[str]:
    """The variables for which this interpreter must start anew: what they say holds from its first line on.

    PYTHONOPTIMIZE takes away the docstrings that transformers reads, errors of warnings stop any import, and where
    text is no UTF-8 no name outside of ASCII can be written. What is asked for on the command line stays."""
    if sys.flags.ignore_environment:
        return set()
    found = {name for name in ("PYTHONOPTIMIZE", "PYTHONINSPECT") if os.environ.get(name)}
    if "error" in os.environ.get("PYTHONWARNINGS", ""):
        found.add("PYTHONWARNINGS")
    encodings = [sys.getfilesystemencoding(), *(file.encoding for file in (sys.stdout, sys.stderr) if file is not None)]
    if any(codecs.lookup(name).name != "utf-8" for name in encodings) and "utf8" not in sys._xoptions:
        found |= {"PYTHONUTF8", "PYTHONIOENCODING"}
    return found


def locked_first(path: Iterable[str], given: Iterable[str]) -> list[str]:
    """The places of modules, those of PYTHONPATH last: another project's numpy does not stand before the locked one."""
    late = {os.path.abspath(entry) for entry in given if entry}
    return sorted(path, key=lambda entry: os.path.abspath(entry) in late)
