"""What an archive asks for is judged before it is read: the limits bound memory and time, not the archive."""

from __future__ import annotations

import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from stages.fetch.unpack import Limits, unpack
from stages.parts.errors import GraftError
from tests.fetch.bombs import BOMBS, DAMAGED, END, Make, header, padded, pax, tgz
from tests.fetch.test_unpack import zipped

SMALL = Limits(members=50, folders=40, size=1_000_000, ratio=20.0, slack=50_000)
MOST_MEMORY, MOST_TIME = 40 << 20, 10.0


@pytest.mark.parametrize("kind", BOMBS)
def test_a_bomb_is_refused_at_the_limit(tmp_path: Path, kind: str) -> None:
    make, words = BOMBS[kind]
    archive = make(tmp_path)
    tracemalloc.start()
    began = time.process_time()
    with pytest.raises(GraftError, match=f"{archive} is refused: .*{words}") as caught:
        unpack(archive, tmp_path / "out", SMALL)
    took, (_, peak) = time.process_time() - began, tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < MOST_MEMORY and took < MOST_TIME and "\n" not in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == [archive.name]


@pytest.mark.parametrize("kind", DAMAGED)
def test_a_damaged_tar_is_one_sentence_and_nothing_of_it_is_kept(tmp_path: Path, kind: str) -> None:
    """Behind a whole file too: tarfile itself takes a damaged header for the end, and the rest would be lost."""
    archive = DAMAGED[kind](tmp_path)
    with pytest.raises(GraftError, match=f"{archive} is damaged .*; delete it and fetch it again") as caught:
        unpack(archive, tmp_path / "out", SMALL)
    assert "\n" not in str(caught.value) and [path.name for path in tmp_path.iterdir()] == [archive.name]


@pytest.mark.parametrize(
    "parts",
    [
        (pax(("path", "a/straße.png"), ("mtime", "1.5")), header("x", 4), padded(b"good")),
        (pax(("comment", "of git archive"), kind=b"g"), header("a/straße.png", 4), padded(b"good")),
        (header("l", 14, b"L") + padded("a/straße.png\0".encode()), header("x", 4), padded(b"good")),
    ],
)
def test_an_honest_extended_header_is_read(tmp_path: Path, parts: tuple[bytes, ...]) -> None:
    unpack(tgz(*parts, END)(tmp_path), tmp_path / "out", SMALL)
    assert (tmp_path / "out/a/straße.png").read_bytes() == b"good"


@pytest.mark.parametrize("make", [zipped(("a.png", b"good" * 50), ("b/c.png", b"x" * 90)), DAMAGED["no end"]])
def test_no_byte_that_turned_gets_a_traceback(tmp_path: Path, make: Make) -> None:
    """Taken out, for a byte may not matter, or one sentence."""
    rng = np.random.default_rng(0)
    archive = make(tmp_path)
    whole = archive.read_bytes()
    for _ in range(200):
        turned = bytearray(whole)
        for at in rng.integers(len(whole), size=rng.integers(1, 4)):
            turned[at] = rng.integers(256)
        archive.write_bytes(turned[: rng.integers(1, len(whole) + 1)] if rng.random() < 0.2 else turned)
        try:
            unpack(archive, tmp_path / "out", SMALL)
        except GraftError as error:
            assert "\n" not in str(error)
