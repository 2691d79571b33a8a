"""A run that keeps everything rewrites nothing; one that finds damage mends it to the bytes of before."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from stages.parts.store.atomic import write_csv
from stages.parts.store.samples import Sample, build, png_bytes

WANTED = {f"bus-{k:06d}": "key" for k in range(7)}


def make(uids: list[str]) -> Iterator[Sample]:
    for uid in uids:
        image = np.full((4, 4, 3), int(uid[-1]), np.uint8)
        yield Sample(uid, "key", {"seed": int(uid[-1])}, {"image.png": png_bytes(image)})


def run(folder: Path) -> None:
    build(folder, WANTED, make, title="test", shard_size=3)


def stamps(folder: Path) -> dict[str, tuple[int, int]]:
    """Which file each is, and when it was last written."""
    return {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in folder.iterdir()}


def test_a_run_that_keeps_everything_touches_no_file(tmp_path: Path) -> None:
    run(tmp_path / "a")
    before = stamps(tmp_path / "a")
    assert len(before) == 1 + 2 * 3  # the index, three shards with their rows
    run(tmp_path / "a")
    assert stamps(tmp_path / "a") == before


def test_one_sample_more_rewrites_its_own_shard_and_the_index_alone(tmp_path: Path) -> None:
    run(tmp_path / "a")
    before = stamps(tmp_path / "a")
    build(tmp_path / "a", WANTED | {"bus-000007": "key"}, make, title="test", shard_size=3)
    after = stamps(tmp_path / "a")
    assert sorted(name[:5] for name in after.keys() - before.keys()) == ["00002", "00002"]
    assert {name for name in before.keys() & after.keys() if before[name] != after[name]} == {"index.jsonl"}


@pytest.mark.parametrize("where", ["header", "content", "padding", "end", "longer"])
def test_a_damaged_shard_is_mended_to_the_same_bytes_and_the_others_stay(tmp_path: Path, where: str) -> None:
    run(tmp_path / "a")
    shard = sorted((tmp_path / "a").glob("*.tar"))[1]
    whole, before = shard.read_bytes(), stamps(tmp_path / "a")
    damaged = bytearray(whole)
    if where == "longer":
        damaged += b"more"
    else:
        damaged[{"header": 3, "content": 520, "padding": 1000, "end": len(whole) - 5}[where]] ^= 0xFF
    shard.write_bytes(damaged)
    run(tmp_path / "a")
    assert shard.read_bytes() == whole
    after = stamps(tmp_path / "a")
    assert all(after[path.name] == before[path.name] for path in (tmp_path / "a").glob("*.tar") if path != shard)


def test_what_does_not_belong_is_still_swept_away(tmp_path: Path) -> None:
    run(tmp_path / "a")
    (tmp_path / "a/stranger.txt").write_text("x")
    (tmp_path / "a/.partial").mkdir()
    (tmp_path / "a/.partial/bus-000001.other.tar").write_bytes(b"")
    run(tmp_path / "a")
    assert sorted(path.suffix for path in (tmp_path / "a").iterdir()) == [".jsonl"] * 4 + [".tar"] * 3


def test_a_table_beside_the_samples_stays_until_they_change(tmp_path: Path) -> None:
    def rerun(wanted: dict[str, str]) -> None:
        build(tmp_path / "a", wanted, make, title="test", shard_size=3, beside=["table.csv"])

    rerun(WANTED)
    write_csv(tmp_path / "a/table.csv", ("uid",), [[uid] for uid in WANTED])
    before = stamps(tmp_path / "a")
    rerun(WANTED)
    write_csv(tmp_path / "a/table.csv", ("uid",), [[uid] for uid in WANTED])
    assert stamps(tmp_path / "a") == before
    rerun(WANTED | {"bus-000007": "key"})
    assert not (tmp_path / "a/table.csv").exists(), "it would tell of other samples than the index"


def test_a_run_killed_after_it_packed_leaves_shards_that_the_next_takes_as_they_are(tmp_path: Path) -> None:
    run(tmp_path / "a")
    whole, before = content(tmp_path / "a"), stamps(tmp_path / "a")
    for path in (tmp_path / "a").glob("*.jsonl"):
        path.unlink()

    def interrupted(uids: list[str]) -> Iterator[Sample]:
        yield from make(uids)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build(tmp_path / "a", WANTED, interrupted, title="test", shard_size=3)
    assert len(list((tmp_path / "a/.partial").iterdir())) == len(WANTED)
    run(tmp_path / "a")
    assert content(tmp_path / "a") == whole
    assert all(stamps(tmp_path / "a")[name] == before[name] for name in whole if name.endswith(".tar"))


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}
