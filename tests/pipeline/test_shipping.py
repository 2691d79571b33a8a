"""Data moves as the README says: the remote inside the repo, a shared folder, an S3 server; published cutouts.

The clones have the small models' own project beside the root line, and are never asked to run it. Further lines are
left out: a bare pull misses what was never made, and all that is made of them is shipped with the repo itself.
"""

import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.pipeline.conftest import ROOT, Line
from tests.pipeline.test_root_line import _between_areas

PROJECT = Path("lines/miniature")  # a DVC project inside the repo


@pytest.fixture(scope="module")
def origin(finished: Line, tmp_path_factory: pytest.TempPathFactory) -> Line:
    """The finished line with the repo's own DVC config, its remote filled by `make ship`, all of it committed."""
    line = Line(Path(shutil.copytree(finished.folder, tmp_path_factory.mktemp("origin") / "line", symlinks=True)))
    shutil.copy(ROOT / ".dvc/config", line.folder / ".dvc/config")
    shutil.copy(ROOT / "Makefile", line.folder)
    (line.folder / PROJECT).mkdir(parents=True)
    shutil.copy(ROOT / PROJECT / "dvc.yaml", line.folder / PROJECT)
    shutil.copytree(ROOT / PROJECT / "code", line.folder / PROJECT / "code")
    not_in_git = shutil.ignore_patterns("cache", "tmp", "config.local")
    shutil.copytree(ROOT / PROJECT / ".dvc", line.folder / PROJECT / ".dvc", ignore=not_in_git)
    venv = sys.prefix
    said = line.sh("make", "-o", f"{venv}/.ready", f"VENV={venv}", "ship").stdout
    assert re.search(r"data/store: \d+ MB", said)
    line.sh("git", "add", "-A")
    line.sh("git", "commit", "-qm", "shipped")
    return line


@pytest.fixture
def clone(origin: Line, tmp_path: Path) -> Line:
    """A fresh clone: git's files, and nothing that DVC keeps."""
    origin.sh("git", "clone", "-q", str(origin.folder), str(tmp_path / "clone"))
    return Line(tmp_path / "clone")


def test_a_fresh_clone_is_whole_after_a_bare_pull(clone: Line, origin: Line) -> None:
    assert not (clone.folder / "data/scenes").exists()
    clone.sh("dvc", "pull")
    assert "up to date" in clone.sh("dvc", "status").stdout
    assert clone.repro() == clone.repro("-P") == set()
    assert clone.outs() == origin.outs()


def test_the_small_models_recipe_is_run_by_its_own_project_alone(clone: Line) -> None:
    assert str(PROJECT) not in clone.sh("dvc", "stage", "list", "--all").stdout
    said = clone.sh("dvc", "--cd", str(PROJECT), "repro", "--dry", "book").stdout
    assert "cd ../.. && python -m stages.miniature.book" in said


@pytest.mark.slow
@pytest.mark.parametrize("pulled", [True, False], ids=["after a pull", "in a bare clone"])
def test_a_new_threshold_retrains_without_generating(clone: Line, origin: Line, pulled: bool) -> None:
    """In a bare clone without --allow-missing: with it DVC takes the folder data/evaluated, of which one recipe is
    there and the other is not, for whole, and does not pull the rest."""
    if pulled:
        clone.sh("dvc", "pull")
    clone.set({"clean": {"max_area": _between_areas(origin)}})
    said = clone.sh("dvc", "repro", "--pull", *(["--allow-missing"] if pulled else [])).stdout
    ran = set(re.findall(r"Running stage '([^']+)'", said))
    assert {"clean@truck", "cutouts@grafted", "train@grafted-0", "report"} <= ran
    assert not {"scenes", "generate@truck", "refine@truck", "train@baseline-0", "evaluate@baseline-0"} & ran


def test_a_shared_folder_serves_a_team(origin: Line, clone: Line, tmp_path: Path) -> None:
    for line in (origin, clone):
        line.sh("dvc", "remote", "add", "--local", "-f", "team", str(tmp_path / "share"))
    origin.sh("dvc", "push", "-r", "team")
    shutil.rmtree(clone.folder / "data/store")
    clone.sh("dvc", "pull", "-r", "team")
    assert "up to date" in clone.sh("dvc", "status").stdout


@pytest.fixture
def s3(tmp_path: Path) -> Iterator[str]:
    """The address of an S3 server, a process of its own, with the bucket `graft`."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    server = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    address = f"http://127.0.0.1:{port}"
    try:
        _wait_for(server, f"{address}/moto-api/")
        urllib.request.urlopen(urllib.request.Request(f"{address}/graft", method="PUT")).close()
        yield address
    finally:
        server.kill()
        server.wait()


def _wait_for(server: subprocess.Popen, address: str) -> None:
    for _ in range(300):
        assert server.poll() is None, "the S3 server ended"
        try:
            urllib.request.urlopen(address).close()
            return
        except OSError:
            time.sleep(0.2)
    raise AssertionError("the S3 server does not answer")


def test_an_s3_server_serves_a_team(origin: Line, clone: Line, s3: str) -> None:
    for line in (origin, clone):
        line.sh("dvc", "remote", "add", "--local", "-f", "bucket", "s3://graft/cutouts")
        for key, value in (("endpointurl", s3), ("access_key_id", "key"), ("secret_access_key", "secret")):
            line.sh("dvc", "remote", "modify", "--local", "bucket", key, value)
    origin.sh("dvc", "push", "-r", "bucket")
    shutil.rmtree(clone.folder / "data/store")
    clone.sh("dvc", "pull", "-r", "bucket")
    assert "up to date" in clone.sh("dvc", "status").stdout
    assert "key" not in clone.sh("git", "status", "--porcelain").stdout, "credentials stay out of git"


@pytest.mark.slow
def test_published_cutouts_are_trained_on_without_generating(line: Line, origin: Line) -> None:
    """Export the kept ones, point generate.source at them, and repro: no model draws, training has the same cutouts."""
    line.sh("python", "-m", "stages.export", "ucg", "data/mine/folders")
    (line.folder / "data/mine/truck.yaml").write_text("cutouts: data/mine/folders/truck\n")
    shutil.move(line.folder / "models/miniature/diffusion", line.folder / "models/unused")
    (line.folder / "models/miniature/diffusion").mkdir()
    line.set({"generate": {"source": "data/mine"}})
    kept = (line.folder / "data/cleaned/truck.csv").read_text().count(",1,")
    said = line.sh("dvc", "repro").stdout
    ran = set(re.findall(r"Running stage '([^']+)'", said))
    assert {"generate@truck", "refine@truck", "clean@truck", "report"} <= ran and "scenes" not in ran
    assert f"generate truck: kept 0, made {kept}" in said and f"clean truck: kept {kept} of {kept}" in said
    assert line.repro() == set()
    assert os.listdir(line.folder / "models/miniature/diffusion") == []
