"""What is written is read back, verified, in canonical files; keys and codings depend on content alone."""

import pickle
import tarfile
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from stages.parts.errors import GraftError
from stages.parts.store.samples import (
    Sample,
    Shards,
    build,
    file_hash,
    key,
    npy_array,
    npy_bytes,
    png_array,
    png_bytes,
)


def build_three(folder: Path, **row: object) -> Shards:
    files = {uid: {"image.png": uid.encode() * 300, "a.npy": b"1"} for uid in ("bus-2", "bus-1", "car-0")}
    make = lambda uids: [Sample(uid, "k", dict(row), files[uid]) for uid in uids]  # noqa: E731
    build(folder, dict.fromkeys(files, "k"), make, title="three", shard_size=2)
    return Shards(folder)


def test_reading_gives_what_was_made_in_the_order_of_uids(tmp_path: Path) -> None:
    shards = build_three(tmp_path / "x", pixels={10: 1, 9: 2}, score=0.1)
    assert len(shards) == 3
    assert [row["uid"] for row, _ in shards] == ["bus-1", "bus-2", "car-0"]
    assert all(row["pixels"] == {"9": 2, "10": 1} and row["score"] == 0.1 for row in shards.rows)
    assert shards.read("car-0") == {"image.png": b"car-0" * 300, "a.npy": b"1"}
    assert shards.read("bus-1")["image.png"] == b"bus-1" * 300


def test_a_finished_folder_holds_shards_their_rows_and_the_index_only(tmp_path: Path) -> None:
    (tmp_path / "x" / "old").mkdir(parents=True)
    (tmp_path / "x" / "old" / "table.csv").write_text("a")
    shards = build_three(tmp_path / "x")
    names = {path.name for path in (tmp_path / "x").iterdir()}
    tars = {row["shard"] for row in shards.rows}
    assert names == {"index.jsonl", *tars, *(tar.replace(".tar", ".jsonl") for tar in tars)}
    assert len(names) == 5


def test_the_rows_beside_the_shards_are_the_index(tmp_path: Path) -> None:
    build_three(tmp_path / "x", score=0.25)
    beside = sorted(set((tmp_path / "x").glob("*.jsonl")) - {tmp_path / "x/index.jsonl"})
    assert len(beside) == 2
    assert b"".join(path.read_bytes() for path in beside) == (tmp_path / "x/index.jsonl").read_bytes()


def test_tar_headers_are_canonical(tmp_path: Path) -> None:
    shards = build_three(tmp_path / "x")
    members = []
    for path in sorted((tmp_path / "x").glob("*.tar")):
        with tarfile.open(path) as tar:
            members += tar.getmembers()
        assert path.read_bytes()[257:265] == b"ustar\x0000"
    assert [m.name for m in members] == [
        f"{uid}.{suffix}" for uid in ("bus-1", "bus-2", "car-0") for suffix in ("a.npy", "image.png")
    ]
    assert {(m.mode, m.mtime, m.uid, m.gid, m.uname, m.gname) for m in members} == {(0o644, 0, 0, 0, "", "")}
    assert [row["shard"][:5] for row in shards.rows] == ["00000", "00000", "00001"]


def test_a_bank_of_no_samples_is_an_empty_index(tmp_path: Path) -> None:
    build(tmp_path / "x", {}, lambda uids: pytest.fail("nothing is missing"), title="none")
    assert [path.name for path in (tmp_path / "x").iterdir()] == ["index.jsonl"]
    assert (tmp_path / "x" / "index.jsonl").read_bytes() == b""
    assert list(Shards(tmp_path / "x")) == []


def test_reading_survives_pickling_for_worker_processes(tmp_path: Path) -> None:
    shards = build_three(tmp_path / "x")
    shards.read("bus-1")
    assert pickle.loads(pickle.dumps(shards)).read("bus-2") == shards.read("bus-2")


def test_a_damaged_sample_is_named_with_its_shard_and_the_fix(tmp_path: Path) -> None:
    shards = build_three(tmp_path / "x")
    path = tmp_path / "x" / shards.rows[0]["shard"]
    content = bytearray(path.read_bytes())
    content[content.index(b"bus-2bus-2")] ^= 1
    path.write_bytes(content)
    assert shards.read("bus-1")["a.npy"] == b"1"
    with pytest.raises(GraftError, match=rf"{path.name}: sample bus-2 is .*damaged; run .*all that is whole is kept"):
        list(Shards(tmp_path / "x"))
    path.unlink()
    with pytest.raises(GraftError, match=rf"{path.name}: sample bus-1 is missing"):
        Shards(tmp_path / "x").read("bus-1")


@pytest.mark.parametrize("damage", ["emptied", "cut after a line", "a line doubled", "another folder's"])
def test_an_index_that_reads_well_and_is_not_the_shards_is_refused(tmp_path: Path, damage: str) -> None:
    build_three(tmp_path / "x")
    index = tmp_path / "x/index.jsonl"
    lines = index.read_bytes().splitlines(keepends=True)
    build(
        tmp_path / "y", {"bus-1": "k"}, lambda uids: [Sample(u, "k", {}, {"image.png": b"1"}) for u in uids], title="y"
    )
    other = (tmp_path / "y/index.jsonl").read_bytes()
    index.write_bytes(
        {"emptied": b"", "cut after a line": lines[0] + lines[1], "another folder's": other}.get(
            damage, b"".join([*lines, lines[-1]])
        )
    )
    with pytest.raises(GraftError, match=r"index.jsonl.* (are not the same|line 4 is damaged); run "):
        Shards(tmp_path / "x")


def test_a_folder_without_rows_beside_its_shards_is_read_as_before(tmp_path: Path) -> None:
    """As written before there were any; the next run adds them."""
    shards = build_three(tmp_path / "x")
    for row in shards.rows:
        (tmp_path / "x" / row["shard"].replace(".tar", ".jsonl")).unlink(missing_ok=True)
    assert len(list(Shards(tmp_path / "x"))) == 3
    build_three(tmp_path / "x")
    assert len(list((tmp_path / "x").iterdir())) == 5


def test_a_changed_row_is_damage(tmp_path: Path) -> None:
    build_three(tmp_path / "x", score=0.25)
    index = tmp_path / "x" / "index.jsonl"
    index.write_text(index.read_text().replace("0.25", "0.75", 1))
    with pytest.raises(GraftError, match=r"index.jsonl and the rows beside the shards are not the same"):
        Shards(tmp_path / "x")
    for path in (tmp_path / "x").glob("0*.jsonl"):
        path.unlink()
    with pytest.raises(GraftError, match="bus-1"):
        list(Shards(tmp_path / "x"))


@pytest.mark.parametrize(
    "line",
    [
        "{",
        "[]",
        '{"uid": "a", "key": "k", "sha256": "0"}',
        '{"uid": "a", "key": "k", "sha256": "0", "shard": "../b.tar"}',
        '{"uid": "a", "key": "k", "sha256": "0", "shard": "b.tar", "n": 1e999}',
    ],
)
def test_a_malformed_index_is_one_sentence(tmp_path: Path, line: str) -> None:
    (tmp_path / "index.jsonl").write_text(line + "\n")
    with pytest.raises(GraftError, match=r"index.jsonl: line 1 is damaged; run .* all that is whole is kept"):
        Shards(tmp_path)


def test_a_missing_folder_and_an_unknown_uid_are_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(GraftError, match=r"nowhere/index.jsonl is missing; `dvc pull` it, or run"):
        Shards(tmp_path / "nowhere")
    with pytest.raises(GraftError, match="has no sample tram-7; run"):
        build_three(tmp_path / "x").read("tram-7")


@pytest.mark.parametrize("field", ["uid", "key", "sha256", "shard"])
def test_a_row_may_not_overwrite_the_index(tmp_path: Path, field: str) -> None:
    with pytest.raises(ValueError, match=f"field {field}"):
        build_three(tmp_path / "x", **{field: "mine"})


def test_make_must_give_what_was_asked_for(tmp_path: Path) -> None:
    def run(*samples: Sample, wanted: tuple[str, ...] = ("n-0", "n-1")) -> None:
        build(tmp_path / "x", dict.fromkeys(wanted, "k"), lambda uids: samples, title="t")

    with pytest.raises(ValueError, match="n-7 with key k was not asked for"):
        run(Sample("n-7", "k", {}, {}))
    with pytest.raises(ValueError, match="n-1 with key stale was not asked for"):
        run(Sample("n-1", "stale", {}, {}))
    with pytest.raises(ValueError, match="n-0 with key k was not asked for"):
        run(Sample("n-0", "k", {}, {}), Sample("n-0", "k", {}, {}))
    with pytest.raises(ValueError, match="1 samples were not made, the first is n-1"):
        run()
    with pytest.raises(ValueError, match="cannot name a sample"):
        run(wanted=("../n",))


def test_memory_holds_one_sample_and_not_all(tmp_path: Path) -> None:
    wanted = {f"n-{k}": "k" for k in range(40)}
    tracemalloc.start()
    build(tmp_path, wanted, lambda uids: (Sample(u, "k", {}, {"x": bytes(500_000)}) for u in uids), title="t")
    build(tmp_path, wanted, lambda uids: [], title="t", shard_size=7)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 5_000_000, "20 MB of samples must stream through"


@pytest.mark.parametrize("shape", [(3, 5), (3, 5, 3), (3, 5, 4)])
def test_png_is_lossless_and_deterministic(shape: tuple[int, ...]) -> None:
    array = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    np.testing.assert_array_equal(png_array(png_bytes(array)), array)
    assert png_bytes(array) == png_bytes(np.asfortranarray(array))
    assert png_array(png_bytes(array)).flags.writeable


@pytest.mark.parametrize("array", [np.zeros((2, 2)), np.zeros(4, np.uint8), np.zeros((2, 2, 2), np.uint8)])
def test_png_refuses_what_it_cannot_hold(array: np.ndarray) -> None:
    with pytest.raises(ValueError, match="a PNG needs uint8"):
        png_bytes(array)


@pytest.mark.parametrize("shape", [(), (0,), (2, 3)])
def test_npy_keeps_dtype_and_shape_and_never_unpickles(shape: tuple[int, ...]) -> None:
    array = np.ones(shape, np.float32)
    back = npy_array(npy_bytes(array))
    assert back.dtype == np.float32 and back.shape == shape and (back == 1).all()
    with pytest.raises(ValueError, match="Object arrays"):
        npy_bytes(np.array([{}], dtype=object))


def test_a_key_depends_on_every_part_and_not_on_their_order() -> None:
    assert key(seed=1, params={"a": 1, "b": 2}) == key(params={"b": 2, "a": 1}, seed=1)
    assert len({key(seed=1), key(seed=2), key(seed="1"), key(seeds=1), key(seed=[1])}) == 5
    assert len(key(seed=1)) == 16
    with pytest.raises(ValueError, match="not JSON compliant"):
        key(seed=float("nan"))


def test_file_hash_sees_names_and_bytes(tmp_path: Path) -> None:
    for folder, name, content in (("a", "w", "1"), ("b", "w", "1"), ("c", "v", "1"), ("d", "w", "2")):
        (tmp_path / folder / "deep").mkdir(parents=True)
        (tmp_path / folder / "deep" / name).write_text(content)
    a, b, c, d = (file_hash(tmp_path / folder) for folder in "abcd")
    assert a == b and len({a, c, d}) == 3
    assert file_hash(tmp_path / "a/deep/w") == file_hash(tmp_path / "c/deep/v")
    with pytest.raises(GraftError, match="no such file or folder"):
        file_hash(tmp_path / "weights")


def test_verify_finds_what_is_damaged_before_it_is_read(tmp_path: Path) -> None:
    shards = build_three(tmp_path / "x")
    assert shards.verify() is shards
    last = tmp_path / "x" / shards.rows[-1]["shard"]
    whole = last.read_bytes()
    last.write_bytes(whole.replace(b"car-0car-0", b"car-0car-1", 1))
    with pytest.raises(GraftError, match=r"sample car-0 is missing or damaged; run the stage"):
        Shards(tmp_path / "x").verify()
    last.unlink()
    with pytest.raises(GraftError, match=r"sample car-0 is missing or damaged"):
        Shards(tmp_path / "x").verify()
