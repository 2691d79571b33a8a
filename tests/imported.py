"""What a command imports, looked at in a process of its own."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
HEAVY = {"torch", "mmseg", "mmengine", "diffusers", "transformers", "matplotlib"}  # each takes seconds to load
RUN = """
import runpy, sys
module, *sys.argv[1:] = sys.argv[1:]
try:
    runpy.run_module(module, run_name="__main__", alter_sys=True)
except SystemExit as end:
    assert not end.code, end.code
print("imported:", *sys.modules)
"""


def heavy_imports(module: str, *arguments: str, folder: Path) -> set[str]:
    """Which of HEAVY `python -m module arguments` loads, run in a folder. The command must succeed."""
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", RUN, module, *arguments], cwd=folder, env=env, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return HEAVY & set(done.stdout.splitlines()[-1].split())
