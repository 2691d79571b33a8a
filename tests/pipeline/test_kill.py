"""generate killed with SIGKILL half-way keeps what was finished, and ends byte-equal to an undisturbed run."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.pipeline.conftest import Line, make_line

COMMAND = (sys.executable, "-m", "stages.generate", "truck")


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def kill_half_way(line: Line) -> int:
    """Run generate until some samples, not all, are finished; kill it; say how many there were."""
    partial = line.folder / "data/generated/truck/.partial"
    env = os.environ | {"OMP_NUM_THREADS": "1"}
    run = subprocess.Popen(COMMAND, cwd=line.folder, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while run.poll() is None and len(list(partial.glob("*.tar"))) < 4:
        time.sleep(0.02)
    run.send_signal(signal.SIGKILL)
    assert run.wait() == -signal.SIGKILL, "it ended before it could be killed"
    return len(list(partial.glob("*.tar")))


def test_a_killed_generate_keeps_what_was_whole_and_ends_byte_equal(tmp_path: Path) -> None:
    killed = make_line(tmp_path / "killed")
    killed.set({"generate": {"count": 16, "batch": 4, "steps": 6}})
    undisturbed = Line(Path(shutil.copytree(killed.folder, tmp_path / "undisturbed", symlinks=True)))
    undisturbed.sh(*COMMAND)

    finished = kill_half_way(killed)
    assert 4 <= finished < 16
    assert f"kept {finished}, made {16 - finished}" in killed.sh(*COMMAND).stdout
    truck = "data/generated/truck"
    assert contents(killed.folder / truck) == contents(undisturbed.folder / truck)
