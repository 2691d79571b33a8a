"""fetch as a process: killed at random bytes, on a full disk, in a folder that it may not write."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from tests.fetch.conftest import archive
from tests.fetch.server import Site

ROOT = Path(__file__).parents[2]


def run(site: Site, folder: Path, prefix: tuple[str, ...] = ()) -> subprocess.Popen[str]:
    command = [*prefix, sys.executable, "-m", "stages.fetch", "zenodo", "--record", "1", "--wait", "0.01"]
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [*command, "--api", f"{site.address}/records"], cwd=folder, text=True, env=env,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def size(path: Path) -> int:
    """0 of a .part that got its name while it was looked for."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def test_killed_at_ten_random_bytes_it_ends_with_the_right_bytes_and_fetches_nothing_twice(
    site: Site, tmp_path: Path
) -> None:
    site.files = {"dataset_trains.zip": archive("t/", padding=600_000), "trucks.zip": archive("u/", padding=600_000)}
    total = sum(map(len, site.files.values()))
    site.always = {"slow": 4000, "pause": 0.004}
    work = tmp_path / "data/.work/fetch/zenodo"
    for stop in sorted(np.random.default_rng(6).integers(1, total - 50_000, 10).tolist()):
        running = run(site, tmp_path)
        while running.poll() is None and sum(map(size, work.glob("*.zip*"))) < stop:
            time.sleep(0.001)
        running.send_signal(signal.SIGKILL)
        running.communicate()
        assert running.returncode == -signal.SIGKILL, "it ended before it could be killed"
    site.always = {}
    last = run(site, tmp_path)
    assert last.wait() == 0, last.communicate()
    for name, content in site.files.items():
        assert (work / name).read_bytes() == content
        asked = site.downloads(name)
        assert asked[0] == "" and "" not in asked[1:], "the file was begun again"
    first, second = (
        min(k for k, (path, _) in enumerate(site.asked) if path == f"/files/{name}") for name in site.files
    )
    assert not any(path == "/files/dataset_trains.zip" for path, _ in site.asked[second:]), (first, second)


def test_a_full_disk_is_a_sentence_and_keeps_what_came(site: Site, tmp_path: Path) -> None:
    """A limit on the size of files stands in for a full disk: the same branch, no root needed."""
    site.files = {"trucks.zip": archive("dataset_trucks/", padding=600_000)}
    limited = run(site, tmp_path, ("bash", "-c", 'ulimit -f 300; trap "" XFSZ; exec "$@"', "limited"))
    _, said = limited.communicate()
    assert limited.returncode == 2 and "no space left on the disk" in said and "what was fetched is kept" in said
    assert (tmp_path / "data/.work/fetch/zenodo/trucks.zip.part").stat().st_size > 200_000
    assert run(site, tmp_path).wait() == 0
    assert site.downloads("trucks.zip")[-1] != "", "it went on from what was kept"


def test_a_folder_that_cannot_be_written_is_a_sentence(site: Site, tmp_path: Path) -> None:
    """Nobody, root included, makes a folder below /sys."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data/.work").symlink_to("/sys")
    running = run(site, tmp_path)
    _, said = running.communicate()
    assert running.returncode == 2 and said.count("\n") == 1 and "cannot be written" in said, said
