"""A file appears whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from stages.parts.store.atomic import replacing, write_whole


def test_text_and_bytes_are_written_as_they_are_in_a_new_folder(tmp_path: Path) -> None:
    write_whole(tmp_path / "a/b/text.csv", "é\n")
    write_whole(tmp_path / "a/b/bytes", b"\r\n")
    assert (tmp_path / "a/b/text.csv").read_bytes() == "é\n".encode()
    assert (tmp_path / "a/b/bytes").read_bytes() == b"\r\n"
    assert len(list((tmp_path / "a/b").iterdir())) == 2


def test_a_writer_that_stops_half_way_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "summary.json"
    write_whole(path, "old")
    with pytest.raises(RuntimeError), replacing(path, 3) as file:
        file.write(b"ne")
        raise RuntimeError
    assert path.read_text() == "old"
    write_whole(path, "new")
    assert path.read_text() == "new"
