"""Below a folder: links are followed, what nobody means is passed over, and what cannot be read is named."""

import os
from pathlib import Path

import pytest

from stages.parts.datasets.listing import files_below
from stages.parts.errors import GraftError

PNG = (".png",)


def put(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x")
    return path


def found(folder: Path) -> list[str]:
    return [path.relative_to(folder).as_posix() for path in files_below(folder, PNG)]


def test_what_links_lead_to_is_there_and_a_loop_ends(tmp_path: Path) -> None:
    put(tmp_path / "far/deep/1.png")
    put(tmp_path / "here/0.png")
    (tmp_path / "here/far").symlink_to(tmp_path / "far")
    (tmp_path / "here/2.png").symlink_to(tmp_path / "far/deep/1.png")
    (tmp_path / "here/again").symlink_to(tmp_path / "here")
    (tmp_path / "far/deep/up").symlink_to(tmp_path / "far")
    assert found(tmp_path / "here") == ["0.png", "2.png", "far/deep/1.png"]


def test_two_links_to_one_folder_are_two_folders(tmp_path: Path) -> None:
    put(tmp_path / "far/1.png")
    for name in ("a", "b"):
        (tmp_path / "here").mkdir(exist_ok=True)
        (tmp_path / "here" / name).symlink_to(tmp_path / "far")
    assert found(tmp_path / "here") == ["a/1.png", "b/1.png"]


@pytest.mark.parametrize(
    "left",
    [".ipynb_checkpoints/0-checkpoint.png", "._0.png", "@eaDir/0.png", "__MACOSX/0.png", ".0.png", "#recycle/0.png"],
)
def test_what_programs_leave_behind_is_no_picture(tmp_path: Path, left: str) -> None:
    put(tmp_path / "0.PNG")
    put(tmp_path / left)
    put(tmp_path / "Thumbs.db")
    assert found(tmp_path) == ["0.PNG"]


def test_names_that_only_look_hidden_are_kept(tmp_path: Path) -> None:
    for name in ("@0.png", "#1.png", "_2.png", "eaDir/3.png"):
        put(tmp_path / name)
    assert len(found(tmp_path)) == 4


@pytest.mark.parametrize("name", ["9.png", "folder", "9.PNG"])
def test_a_link_that_leads_nowhere_is_named(tmp_path: Path, name: str) -> None:
    put(tmp_path / "0.png")
    (tmp_path / name).symlink_to(tmp_path / "nowhere")
    with pytest.raises(GraftError, match=rf"{name} is a link that leads nowhere; mend or remove it"):
        found(tmp_path)


def test_a_link_to_itself_and_what_is_no_file_are_named(tmp_path: Path) -> None:
    (tmp_path / "0.png").symlink_to(tmp_path / "0.png")
    with pytest.raises(GraftError, match=r"0\.png is a link that leads nowhere"):
        found(tmp_path)
    (tmp_path / "0.png").unlink()
    os.mkfifo(tmp_path / "1.png")
    with pytest.raises(GraftError, match=r"1\.png is no file; remove it"):
        found(tmp_path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_and_a_file_that_may_not_be_read_are_named(tmp_path: Path) -> None:
    put(tmp_path / "a/0.png").chmod(0)
    with pytest.raises(GraftError, match=r"0\.png may not be read"):
        found(tmp_path)
    (tmp_path / "a").chmod(0)
    with pytest.raises(GraftError, match="a cannot be read"):
        found(tmp_path)
    (tmp_path / "a").chmod(0o700)
