"""What this machine has to compute with, in words; torch is loaded only when it is asked."""

from __future__ import annotations

import os
import platform
import re
from pathlib import Path

from stages.parts.machine import INSTRUCTIONS, threads

WIDE = ("avx512f", "avx2", "avx", "sse4_2", "asimd")  # the widest first, as the kernel calls them


def system() -> str:
    return f"{platform.platform()}, Python {platform.python_version()}"


def cpu() -> str:
    told = read("/proc/cpuinfo")
    model = re.search(r"^model name\s*: (.*)$", told, re.M)
    return (
        f"{model[1] if model else platform.machine()}, {os.cpu_count()} of which {len(os.sched_getaffinity(0))} may be "
        f"used{quota()}; widest instructions {widest(told) or 'unknown'}"
    )


def widest(cpuinfo: str) -> str | None:
    flags = re.search(r"^(?:flags|Features)\s*: (.*)$", cpuinfo, re.M)
    return next((name for name in WIDE if flags and name in flags[1].split()), None)


def quota() -> str:
    """What the container may use of the CPUs, if it is told."""
    most, _, period = read("/sys/fs/cgroup/cpu.max").partition(" ")
    return f" ({int(most) / int(period):.1f} at a time)" if most.isdigit() and period.strip().isdigit() else ""


def memory() -> str:
    found = dict(re.findall(r"^(\w+):\s+(\d+) kB$", read("/proc/meminfo"), re.M))
    free, whole = (int(found.get(name, 0)) / 1e6 for name in ("MemAvailable", "MemTotal"))
    return f"{free:.1f} of {whole:.1f} GB are free"


def torch_computes_with() -> str:
    import torch

    return (
        f"{torch.__version__}, {torch.get_num_threads()} threads (engine.threads {threads()}), "
        f"{torch.backends.cpu.get_cpu_capability()} (set: {INSTRUCTIONS['ATEN_CPU_CAPABILITY']})"
    )


def gpus() -> str:
    import torch

    if not torch.cuda.is_available():
        return f"none that torch can use (built for CUDA {torch.version.cuda})"
    found = [torch.cuda.get_device_properties(number) for number in range(torch.cuda.device_count())]
    return "\n".join(f"{gpu.name}, {gpu.total_memory / 1e9:.0f} GB, CUDA {torch.version.cuda}" for gpu in found)


def read(path: str) -> str:
    """A file of the kernel's; "" where there is none."""
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
