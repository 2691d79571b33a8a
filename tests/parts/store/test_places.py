"""A place that cannot be written is told before the work, and asking leaves nothing behind."""

from pathlib import Path

import pytest

from stages.parts.errors import GraftError
from stages.parts.store.places import check_place


@pytest.mark.parametrize("place", ["/proc/x", "/proc/a/b/c.png", "/sys/x.safetensors", "/dev/null/x"])
def test_a_place_that_takes_no_file_is_one_sentence(place: str) -> None:
    with pytest.raises(GraftError, match="cannot be written"):
        check_place(Path(place))


def test_a_file_in_the_way_of_a_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(GraftError, match="cannot be written"):
        check_place(tmp_path / "file/below")
    with pytest.raises(GraftError, match="cannot be written"):
        check_place(tmp_path / ("n" * 300) / "x")


def test_asking_leaves_nothing_behind(tmp_path: Path) -> None:
    check_place(tmp_path / "a/b/c.png")
    check_place(tmp_path)
    (tmp_path / "old").write_bytes(b"kept")
    check_place(tmp_path / "old")
    assert [path.name for path in tmp_path.iterdir()] == ["old"] and (tmp_path / "old").read_bytes() == b"kept"
