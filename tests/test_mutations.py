"""Whatever a person, an editor or a disk does to a file, the answer is a result or one sentence, in seconds.

Two hundred mutations of each kind of file, drawn from a fixed stream: bytes turned, cut, doubled, moved, and values put
in the place of others. A mutation that is read must leave the file as it was.
"""

import gzip
import io
import json
import tarfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from stages.clean import table as score_table
from stages.fetch.unpack import unpack
from stages.generate import sources
from stages.parts.errors import GraftError
from stages.parts.sections import read
from stages.parts.store.samples import Sample, Shards, build
from stages.preflight import Params

ROOT = Path(__file__).parents[1]
COUNT = 200
SLOWEST = 10.0  # seconds
VALUES = (
    b"{}", b"[]", b"null", b"-1", b"1e999", b".nan", b"9" * 400, b"2026-02-30", b"!!int abc", b'"\\ud800"', b"&a [*a]",
    b"*a", b"\xff\xfe", b"\0", b"%", b"'", b'"', b": ", b"- ", b"#", b"\t", b"\r\n", "ß".encode(), "\u202e".encode(),
    b"[" * 300, b"true", b"0", b"../../etc/passwd", b"/proc/self/mem",
)  # fmt: skip


def mutated(content: bytes, rng: np.random.Generator) -> bytes:
    """One to three changes of a file."""
    for _ in range(rng.integers(1, 4)):
        at, to = sorted(rng.integers(0, max(1, len(content)), 2).tolist())
        to = min(to, at + 40)
        value = VALUES[rng.integers(len(VALUES))]
        content = (
            content[:at] + bytes([rng.integers(256)]) + content[at + 1 :],
            content[:at],
            content[:at] + content[to:],
            content[:at] + value + content[at:],
            content[:at] + value + content[to:],
            content[:to] + content[at:],
        )[rng.integers(6)]
    return content


def params(folder: Path) -> Callable[[], object]:
    return lambda: read(Params, folder / "file")


def prompts(folder: Path) -> Callable[[], object]:
    def run() -> None:
        (folder / "truck.yaml").write_bytes((folder / "file").read_bytes())
        found = sources.read(str(folder), "truck")
        [found.draw(seed) for seed in range(3)]

    return run


def index(folder: Path) -> Callable[[], object]:
    made = [Sample(f"a-{k:06d}", "k", {"n": k}, {"x.png": bytes([k])}) for k in range(6)]
    build(folder / "shards", {one.uid: "k" for one in made}, lambda uids: made, title="made")

    def run() -> None:
        (folder / "shards/index.jsonl").write_bytes((folder / "file").read_bytes())
        [files for _, files in Shards(folder / "shards")]

    return run


def scores(folder: Path) -> Callable[[], object]:
    return lambda: score_table.read(folder / "file", ["area", "stability"], rest=True)


def archive(folder: Path) -> Callable[[], object]:
    def run() -> None:
        path = folder / ("file.zip" if (folder / "file").read_bytes()[:2] == b"PK" else "file.tar.gz")
        path.write_bytes((folder / "file").read_bytes())
        unpack(path, folder / "out")

    return run


def packed(kind: str) -> bytes:
    buffer = io.BytesIO()
    if kind == "zip":
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
            file.writestr("rgb/0.png", b"x" * 50)
            file.writestr("ss/0.png", b"y" * 50)
        return buffer.getvalue()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name in ("rgb/0.png", "ss/" + "long" * 40 + ".png"):
            about = tarfile.TarInfo(name)
            about.size = 50
            tar.addfile(about, io.BytesIO(b"x" * 50))
    return buffer.getvalue() if kind == "tar" else gzip.compress(buffer.getvalue(), mtime=0)


def shipped_index(folder: Path) -> bytes:
    index(folder)
    return (folder / "shards/index.jsonl").read_bytes()


def table(folder: Path) -> bytes:
    rows = "".join(f"bus-{k:06d},,0.{k}5,0.{k}\n" for k in range(6))
    return ("uid,reason,area,stability\n" + rows).encode()


KINDS: dict[str, tuple[Callable[[Path], Callable[[], object]], Callable[[Path], bytes]]] = {
    "params.yaml": (params, lambda _: (ROOT / "params.yaml").read_bytes()),
    "prompts": (prompts, lambda _: (ROOT / "data/prompts/truck.yaml").read_bytes()),
    "index": (index, shipped_index),
    "score table": (scores, table),
    "zip": (archive, lambda _: packed("zip")),
    "tar.gz": (archive, lambda _: packed("tar.gz")),
    "tar": (archive, lambda _: packed("tar")),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_mutated_file_is_read_or_refused_in_one_sentence(tmp_path: Path, kind: str) -> None:
    reader, original = KINDS[kind]
    content, run = original(tmp_path), reader(tmp_path)
    rng = np.random.default_rng(list(kind.encode()))
    refused = 0
    for number in range(COUNT):
        changed = mutated(content, rng)
        (tmp_path / "file").write_bytes(changed)
        begun = time.monotonic()
        try:
            run()
        except GraftError as error:
            refused += 1
            assert "\n" not in str(error), (number, str(error))
        assert time.monotonic() - begun < SLOWEST, number
        assert (tmp_path / "file").read_bytes() == changed
    assert 0 < refused <= COUNT


def test_a_file_that_a_sentence_is_about_is_still_there(tmp_path: Path) -> None:
    """Refusing an index moves nothing: what is whole in the shards can still be kept."""
    run = index(tmp_path)
    before = {path.name: path.read_bytes() for path in (tmp_path / "shards").iterdir() if path.suffix == ".tar"}
    (tmp_path / "file").write_bytes(json.dumps({"uid": 1}).encode())
    with pytest.raises(GraftError):
        run()
    assert {n: (tmp_path / "shards" / n).read_bytes() for n in before} == before
