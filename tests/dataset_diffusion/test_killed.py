"""SIGKILL at any moment costs the pictures under way, and no byte of the end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from stages.dataset_diffusion import captions
from stages.dataset_diffusion.generate import FOLDER
from tests.dataset_diffusion.conftest import ROOT, content, set_line

COMMAND = [sys.executable, "-m", "stages.dataset_diffusion.generate", "caption_classes"]


@pytest.mark.slow
def test_ten_kills_of_generate_end_in_the_bytes_of_an_unbroken_run(project: Path) -> None:
    set_line({"captions.count": 24, "generate.steps": 4})
    captions.main([])
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    start = time.monotonic()
    subprocess.run(COMMAND, env=env, check=True, capture_output=True)
    whole, took = content(FOLDER), time.monotonic() - start
    for path in sorted(FOLDER.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    kills, rng = 0, np.random.default_rng(0)
    while kills < 10:
        running = subprocess.Popen(COMMAND, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(float(rng.uniform(0.3, 0.95)) * took)
        running.send_signal(signal.SIGKILL)
        kills += running.wait() == -signal.SIGKILL
        if not (FOLDER / "caption_classes/.partial").exists():  # it was done: from the start again
            for path in (FOLDER / "caption_classes").glob("*"):
                path.unlink()
    subprocess.run(COMMAND, env=env, check=True, capture_output=True)
    assert content(FOLDER) == whole
