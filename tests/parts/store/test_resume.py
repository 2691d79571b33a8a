"""Whatever happened before, a run leaves the same bytes as one from nothing, and makes only what was lost.

As a script (`python test_resume.py <folder> <count> <salt> <pause>`) it is a run that a test can kill."""

import os
import random
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from stages.parts.errors import GraftError
from stages.parts.store.samples import Built, Sample, Shards, build, key

ROOT = Path(__file__).parents[3]


def wanted(count: int, salt: str = "a") -> dict[str, str]:
    """The keys of `count` samples; the first ten do not depend on the salt."""
    return {f"n-{k:03d}": key(number=k, salt=salt if k >= 10 else "") for k in range(count)}


def paint(uid: str, key: str, size: int) -> Sample:
    """A sample whose content, but not the order of its files, follows from its uid and key."""
    noise = random.Random(uid + key)
    files = {"x.bin": noise.randbytes(size), "y.bin": b"y" * 7}
    return Sample(uid, key, {"luck": noise.random()}, dict(random.sample(list(files.items()), 2)))


def run(folder: Path, count: int, salt: str = "a", pause: float = 0.0, size: int = 3000) -> Built:
    """Build in a shuffled order, so that nothing may lean on it."""
    keys = wanted(count, salt)

    def make(uids: list[str]) -> Iterator[Sample]:
        for uid in random.sample(uids, len(uids)):
            time.sleep(pause)
            yield paint(uid, keys[uid], size)

    return build(folder, keys, make, title="numbers", shard_size=8)


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def start(folder: Path, count: int, salt: str, pause: float, **options: object) -> subprocess.Popen[str]:
    """A run in a process of its own, which has imported everything and is about to build."""
    command = [sys.executable, __file__, str(folder), str(count), salt, str(pause)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    process = subprocess.Popen(command, cwd=ROOT, env=environment, **pipes, **options)  # type: ignore[call-overload]
    assert process.stdout.readline() == "ready\n"
    return process


@pytest.fixture
def fresh(tmp_path: Path) -> dict[str, bytes]:
    """The bytes of a run of 20 from nothing."""
    run(tmp_path / "fresh", 20)
    return content(tmp_path / "fresh")


def test_grow_shrink_and_reseed_and_back(tmp_path: Path, fresh: dict[str, bytes]) -> None:
    folder = tmp_path / "x"
    assert run(folder, 12) == Built(0, 12)
    assert run(folder, 20) == Built(12, 8)
    assert content(folder) == fresh
    assert run(folder, 20) == Built(20, 0)
    assert content(folder) == fresh
    assert run(folder, 20, "b") == Built(10, 10)
    assert content(folder) != fresh
    assert run(folder, 5) == Built(5, 0)
    assert run(folder, 20) == Built(5, 15)
    assert content(folder) == fresh


def test_the_shard_size_leaves_no_trace(tmp_path: Path, fresh: dict[str, bytes]) -> None:
    keys = wanted(20)
    build(tmp_path / "x", keys, lambda uids: (paint(u, keys[u], 3000) for u in uids), title="t", shard_size=3)
    assert run(tmp_path / "x", 20) == Built(20, 0)
    assert content(tmp_path / "x") == fresh


def test_folders_of_two_classes_do_not_meet(tmp_path: Path, fresh: dict[str, bytes]) -> None:
    run(tmp_path / "data" / "bus", 20)
    run(tmp_path / "data" / "truck", 4, "b")
    assert content(tmp_path / "data" / "bus") == fresh


def test_ten_kills_at_any_moment(tmp_path: Path, fresh: dict[str, bytes]) -> None:
    folder, moments = tmp_path / "x", random.Random(0)
    for round in range(10):
        process = start(folder, 20, "ab"[round % 3 == 2], pause=0.004)
        time.sleep(moments.uniform(0.0, 0.12))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        if (folder / "index.jsonl").exists():
            assert len(list(Shards(folder))) == 20
    survivors = len({path.name for path in (folder / ".partial").glob("*.tar")} & partials(20))
    finished = (folder / "index.jsonl").exists()
    assert run(folder, 20).kept == survivors or finished
    assert content(folder) == fresh


def partials(count: int) -> set[str]:
    return {f"{uid}.{key}.tar" for uid, key in wanted(count).items()}


def test_a_killed_run_loses_nothing_that_was_yielded(tmp_path: Path, fresh: dict[str, bytes]) -> None:
    folder = tmp_path / "x"
    process = start(folder, 20, "a", pause=0.05)
    while len(list(folder.glob(".partial/*.tar"))) < 7:
        time.sleep(0.005)
    process.kill()
    process.communicate()
    built = run(folder, 20)
    assert built.kept >= 7 and built.made == 20 - built.kept
    assert content(folder) == fresh


def test_a_killed_change_of_mind_spoils_neither_setting(tmp_path: Path, fresh: dict[str, bytes]) -> None:
    folder = tmp_path / "x"
    run(folder, 20)
    process = start(folder, 20, "b", pause=0.05)
    while not list(folder.glob(".partial/*.tar")):
        time.sleep(0.005)
    process.kill()
    process.communicate()
    left = {name: data for name, data in content(folder).items() if ".partial" not in name and name != ".lock"}
    assert left == fresh
    assert len(list(Shards(folder))) == 20
    assert run(folder, 20) == Built(20, 0)
    assert content(folder) == fresh


def test_two_killed_settings_are_both_kept(tmp_path: Path) -> None:
    for salt in "ab":
        process = start(tmp_path / "x", 20, salt, pause=0.03)
        before = len(list(tmp_path.glob("x/.partial/*.tar")))
        while len(list(tmp_path.glob("x/.partial/*.tar"))) < before + 4:
            time.sleep(0.005)
        process.kill()
        process.communicate()
    left = {path.name for path in tmp_path.glob("x/.partial/*.tar")}
    assert run(tmp_path / "x", 20).kept == len(left & partials(20))


@pytest.mark.parametrize("name", ["index.jsonl", "00001-*.jsonl", "00001-*.tar"])
def test_any_flipped_byte_is_mended(
    tmp_path: Path, fresh: dict[str, bytes], name: str, capfd: pytest.CaptureFixture[str]
) -> None:
    folder, places = tmp_path / "fresh", random.Random(1)
    [path] = folder.glob(name)
    whole = path.read_bytes()
    for place in [0, 124, 156, *places.sample(range(len(whole)), 25)]:
        damaged = bytearray(whole)
        damaged[place] ^= 1 << places.randrange(8)
        path.write_bytes(damaged)
        built = run(folder, 20)
        most = 2 if name.endswith(".tar") else 0  # what a file of rows says stands elsewhere too
        assert built.made <= most, f"byte {place}: more made again than what it touched"
        said = "damaged" in capfd.readouterr().err  # a flip in a uid or key of an index just reads as stale
        assert said == (built.made > 0) or name.endswith(".jsonl")
        assert content(folder) == fresh


def test_a_truncated_shard_and_a_lost_one_are_mended(tmp_path: Path, fresh: dict[str, bytes]) -> None:
    folder = tmp_path / "fresh"
    [path] = folder.glob("00001-*.tar")
    path.write_bytes(path.read_bytes()[:9000])
    assert 1 <= run(folder, 20).made < 8
    assert content(folder) == fresh
    path.unlink()
    assert run(folder, 20) == Built(12, 8)
    assert content(folder) == fresh


DAMAGES = {
    "missing": lambda content: None,
    "empty": lambda content: b"",
    "a line damaged": lambda content: content.replace(b"{", b"{{", 1),
    "zeros": lambda content: bytes(len(content)),
    "half": lambda content: content[: len(content) // 2],
    "no UTF-8": lambda content: content.replace(b"luck", b"l\xffck", 3),
    "Windows line ends": lambda content: content.replace(b"\n", b"\r\n"),
    "nested deep": lambda content: b"[" * 100_000,
    "other numbers": lambda content: content.replace(b'"luck":0.', b'"luck":0.1'),
    "other shards": lambda content: content.replace(b'"shard":"0000', b'"shard":"0009'),
    "another class's": lambda content: content.replace(b'"uid":"n-', b'"uid":"m-'),
    "JSON of another kind": lambda content: b'{"uid": 3}\n[]\nnull\n',
}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("which", ["index.jsonl", "0*.jsonl"])
def test_a_lost_index_or_lost_rows_cost_no_sample(
    tmp_path: Path, fresh: dict[str, bytes], damage: str, which: str
) -> None:
    folder = tmp_path / "fresh"
    for path in folder.glob(which):
        damaged = DAMAGES[damage](path.read_bytes())
        path.unlink() if damaged is None else path.write_bytes(damaged)
    assert run(folder, 20) == Built(20, 0)
    assert content(folder) == fresh


def test_a_truncated_partial_sample_is_made_again(tmp_path: Path, fresh: dict[str, bytes]) -> None:
    def stop_at_five(uids: list[str]) -> Iterator[Sample]:
        yield from (paint(uid, wanted(20)[uid], 3000) for uid in uids[:5])
        raise KeyboardInterrupt

    folder = tmp_path / "x"
    with pytest.raises(KeyboardInterrupt):
        build(folder, wanted(20), stop_at_five, title="t")
    for length, path in zip((0, 700, 2000), sorted(folder.glob(".partial/*.tar")), strict=False):
        path.write_bytes(path.read_bytes()[:length])
    (folder / ".partial" / "n-009.abc.tar.tmp").write_bytes(b"half")
    assert run(folder, 20) == Built(2, 18)
    assert content(folder) == fresh


@pytest.mark.parametrize(("limit", "kept"), [(2_000, 0), (15_000, 20)])
def test_a_full_disk_is_one_sentence_and_costs_nothing(
    tmp_path: Path, fresh: dict[str, bytes], limit: int, kept: int
) -> None:
    """A file-size limit stands in for the full disk: below one sample, and between a sample and a shard."""
    folder = tmp_path / "x"
    process = start(folder, 20, "a", 0, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)))
    _, errors = process.communicate()
    assert process.returncode == 2
    assert f"{folder}/" in errors and "no space left" in errors and "Traceback" not in errors
    assert not list(folder.rglob("*.tmp"))
    assert run(folder, 20) == Built(kept, 20 - kept)
    assert content(folder) == fresh


def test_new_shards_do_not_overwrite_what_the_old_index_names(tmp_path: Path) -> None:
    folder, keys = tmp_path / "x", {uid: "other" for uid in wanted(16)}
    run(folder, 20)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, hard))  # room for the first new shard, not for the second
    try:
        with pytest.raises(GraftError, match=r"/00001-\w+.tar: no space left"):
            make = lambda uids: (paint(uid, "other", 500 if uid < "n-008" else 4000) for uid in uids)  # noqa: E731
            build(folder, keys, make, title="t", shard_size=8)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert len(list(Shards(folder))) == 20


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real disk of 512 KB; only root may mount it."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=512k", "none", disk], capture_output=True).returncode:
        pytest.skip("mounting a small disk needs root")
    yield disk
    subprocess.run(["umount", disk], check=True)


def test_a_really_full_disk_leaves_the_old_samples_valid(small_disk: Path, fresh: dict[str, bytes]) -> None:
    run(small_disk / "x", 20)
    with pytest.raises(GraftError, match=r"no space left on the disk .* MB needed, 0.0. MB are free"):
        run(small_disk / "x", 40, "b", size=9000)
    assert len(list(Shards(small_disk / "x"))) == 20
    assert run(small_disk / "x", 20) == Built(20, 0)
    assert content(small_disk / "x") == fresh


if __name__ == "__main__":
    print("ready", flush=True)
    try:
        run(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3], float(sys.argv[4]))
    except GraftError as error:
        sys.exit([print(error, file=sys.stderr), 2][1])
