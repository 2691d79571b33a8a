"""A folder is written by one run at a time, and a second one is told in a sentence who is at work; a lock dies with its
process, and what it leaves keeps nobody out.

As a script (`python test_lock.py <folder> <pause>`) it is a run that holds a folder for a while."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from stages.parts.errors import GraftError
from stages.parts.store.lock import LOCK, alone
from stages.parts.store.samples import Built, Sample, build

ROOT = Path(__file__).parents[3]
WANTED = {f"n-{k}": "k" for k in range(6)}


def run(folder: Path, pause: float = 0.0) -> Built:
    def make(uids: list[str]) -> Iterator[Sample]:
        for uid in uids:
            time.sleep(pause)
            yield Sample(uid, "k", {}, {"x": uid.encode() * 500})

    return build(folder, WANTED, make, title="numbers", shard_size=4)


def start(folder: Path, pause: float) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, __file__, str(folder), str(pause)],
        env=os.environ | {"PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def holding(folder: Path, pause: float = 0.2) -> subprocess.Popen[str]:
    """A run that is at work in the folder."""
    process = start(folder, pause)
    while not list(folder.glob(".partial/*.tar")):
        assert process.poll() is None
        time.sleep(0.01)
    return process


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_second_run_is_told_who_is_at_work_and_touches_nothing(tmp_path: Path) -> None:
    first = holding(tmp_path / "x")
    with pytest.raises(GraftError) as refused:
        run(tmp_path / "x")
    said = str(refused.value)
    assert re.search(
        rf"^{re.escape(str(tmp_path))}/x is being written by process {first.pid} on \S+ \(`python .*", said
    )
    assert "\n" not in said and "wait until" in said
    out, errors = first.communicate()
    assert first.returncode == 0 and "made 6" in out, errors
    assert run(tmp_path / "x") == Built(6, 0)
    assert LOCK not in content(tmp_path / "x")


def test_a_killed_run_keeps_nobody_out(tmp_path: Path) -> None:
    first = holding(tmp_path / "x")
    first.send_signal(signal.SIGKILL)
    first.communicate()
    assert (tmp_path / "x" / LOCK).exists()
    assert run(tmp_path / "x").kept >= 1
    assert not (tmp_path / "x" / LOCK).exists()


@pytest.mark.parametrize("left", [b"", b"{", b"[]", b'{"pid": "x", "host": 1, "command": 2}', bytes(100), b"\xff"])
def test_whatever_stands_in_the_file_a_lock_is_a_lock(tmp_path: Path, left: bytes) -> None:
    """Also when it is not what we write: it may be half of it, or of another version."""
    first = holding(tmp_path / "x")
    (tmp_path / "x" / LOCK).write_bytes(left)
    with pytest.raises(GraftError, match=r"x is being written by another process; wait"):
        run(tmp_path / "x")
    first.kill()
    first.communicate()
    assert run(tmp_path / "x").kept >= 1


def test_the_same_process_may_hold_a_folder_twice_and_frees_it_at_the_outer_end(tmp_path: Path) -> None:
    with alone(tmp_path / "x"):
        assert run(tmp_path / "x") == Built(0, 6)
        assert (tmp_path / "x" / LOCK).exists()
        second = start(tmp_path / "x", 0)
        assert "is being written by process" in second.communicate()[1] and second.returncode == 2
    assert not (tmp_path / "x" / LOCK).exists()


def test_a_file_that_was_unlinked_is_never_taken_for_the_lock(tmp_path: Path) -> None:
    """Somebody cleans up: the folder is gone, and a new one with a new lock is there when the first run ends."""
    with alone(tmp_path / "x"):
        (tmp_path / "x" / LOCK).unlink()
        second = holding(tmp_path / "x")
    assert (tmp_path / "x" / LOCK).exists(), "it is the other's"
    with pytest.raises(GraftError, match=f"process {second.pid} "):
        run(tmp_path / "x")
    second.communicate()
    assert second.returncode == 0


def test_a_run_that_fails_before_any_work_leaves_no_folder(tmp_path: Path) -> None:
    with pytest.raises(GraftError), alone(tmp_path / "a/b/c"):
        raise GraftError("no model")
    assert not list(tmp_path.iterdir())


def test_pairs_of_runs_end_in_a_sentence_or_well_and_the_bytes_are_right(tmp_path: Path) -> None:
    run(tmp_path / "alone")
    for pair in range(4):
        folder = tmp_path / str(pair)
        first = start(folder, 0.02)
        time.sleep(0.1 * pair)
        second = start(folder, 0.02)
        ends = [(process.communicate()[1], process.returncode) for process in (first, second)]
        assert any(code == 0 for _, code in ends)
        for errors, code in ends:
            assert code == 0 or (code == 2 and errors.count("is being written by process") == 1), errors
            assert "Traceback" not in errors
        assert content(folder) == content(tmp_path / "alone")


if __name__ == "__main__":
    try:
        run(Path(sys.argv[1]), float(sys.argv[2]))
    except GraftError as error:
        sys.exit([print(error, file=sys.stderr), 2][1])
