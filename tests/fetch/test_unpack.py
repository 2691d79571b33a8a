"""No archive writes a byte outside of its folder, fills the disk, or leaves half of itself."""

import gzip
import io
import stat
import struct
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from stages.fetch.unpack import Limits, unpack
from stages.parts.errors import GraftError

SMALL = Limits(members=50, size=1_000_000, ratio=20.0, slack=50_000)
Make = Callable[[Path], Path]


def zipped(*members: tuple[str, bytes]) -> Make:
    def make(folder: Path) -> Path:
        with zipfile.ZipFile(folder / "a.zip", "w", zipfile.ZIP_DEFLATED) as opened:
            for name, content in members:
                opened.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
        return folder / "a.zip"

    return make


def tarred(*members: tuple[str, bytes, dict]) -> Make:
    def make(folder: Path) -> Path:
        with tarfile.open(folder / "a.tar", "w") as opened:
            for name, content, fields in members:
                info = tarfile.TarInfo(name)
                info.size = len(content)
                for field, value in fields.items():
                    setattr(info, field, value)
                opened.addfile(info, io.BytesIO(content))
        return folder / "a.tar"

    return make


def zip_link(folder: Path) -> Path:
    info = zipfile.ZipInfo("link")
    info.create_system, info.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(folder / "a.zip", "w") as opened:
        opened.writestr(info, "/etc/passwd")
    return folder / "a.zip"


def patched(make: Make, old: bytes, new: bytes) -> Make:
    """An archive with some bytes exchanged, everywhere."""

    def patch(folder: Path) -> Path:
        archive = make(folder)
        content = archive.read_bytes()
        assert old in content
        archive.write_bytes(content.replace(old, new))
        return archive

    return patch


def encrypted(folder: Path) -> Path:
    archive = zipped(("a.png", b"secret"))(folder)
    content = bytearray(archive.read_bytes())
    content[6] |= 1
    content[content.index(b"PK\x01\x02") + 8] |= 1
    archive.write_bytes(bytes(content))
    return archive


def truncated(make: Make) -> Make:
    def cut(folder: Path) -> Path:
        archive = make(folder)
        archive.write_bytes(archive.read_bytes()[: -len(archive.read_bytes()) // 2])
        return archive

    return cut


def overlapping(folder: Path) -> Path:
    """Many directory entries for the same compressed bytes: small packed, huge unpacked."""
    archive = zipped(("a.png", bytes(40_000)))(folder)
    content = archive.read_bytes()
    at = content.index(b"PK\x01\x02")
    end = content.index(b"PK\x05\x06")
    entry = content[at:end]
    entries = b"".join(entry.replace(b"a.png", f"{k}.png".encode()) for k in range(10))
    local = content[:at]
    tail = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 10, 10, len(entries), len(local), 0)
    archive.write_bytes(local + entries + tail)
    return archive


LONG = struct.pack("<L", 60_000)
HOSTILE: dict[str, tuple[Make, str]] = {
    "a zip member that climbs out": (zipped(("../evil", b"x")), "leads out"),
    "a tar member that climbs out": (tarred(("a/../../evil", b"x", {})), "leads out"),
    "an absolute path in a zip": (zipped(("/tmp/graft-evil", b"x")), "no plain relative path"),
    "an absolute path in a tar": (tarred(("/tmp/graft-evil", b"x", {})), "no plain relative path"),
    "a drive letter": (zipped(("C:evil", b"x")), "no plain relative path"),
    "a backslash": (zipped(("..\\evil", b"x")), "no plain relative path"),
    "a symbolic link in a zip": (zip_link, "a link or a device"),
    "a symbolic link in a tar": (tarred(("l", b"", {"type": tarfile.SYMTYPE, "linkname": "/etc"})), "a link"),
    "a file through a symbolic link": (
        tarred(("l", b"", {"type": tarfile.SYMTYPE, "linkname": ".."}), ("l/evil", b"x", {})), "a link",
    ),
    "a hard link": (tarred(("h", b"", {"type": tarfile.LNKTYPE, "linkname": "/etc/passwd"})), "a link"),
    "a device": (tarred(("d", b"", {"type": tarfile.CHRTYPE, "devmajor": 1, "devminor": 3})), "a device"),
    "a pipe": (tarred(("p", b"", {"type": tarfile.FIFOTYPE})), "a device"),
    "a zip bomb": (zipped(("bomb", bytes(5_000_000))), "would unpack to more than"),
    "many members that are a bomb together": (zipped(*((f"{k}", bytes(20_000)) for k in range(40))), "would unpack"),
    "overlapping members": (overlapping, "would unpack|damaged|[Oo]verlap"),
    "too many members": (tarred(*((f"{k}", b"", {}) for k in range(60))), "more than 50 files"),
    "a size that lies": (
        patched(zipped(("a", bytes(60_000))), LONG, struct.pack("<L", 100)), "damaged|longer than it claims",
    ),
    "names that differ in case alone": (zipped(("rgb/A.png", b"x"), ("rgb/a.PNG", b"y")), "case is ignored"),
    "folders that differ in case alone": (zipped(("rgb/a.png", b"x"), ("RGB/b.png", b"y")), "case is ignored"),
    "names that differ in Unicode form alone": (zipped(("é", b"x"), ("e\u0301", b"y")), "case is ignored"),
    "one name twice": (tarred(("a", b"x", {}), ("a", b"y", {})), "case is ignored"),
    "a file where a folder must be": (tarred(("a", b"x", {}), ("a/b", b"y", {})), "case is ignored"),
    "a NUL in a name": (patched(zipped(("evilX.png", b"x")), b"evilX", b"evil\0"), "no plain relative path"),
    "a line break in a name": (tarred(("a\nb", b"x", {})), "no plain relative path"),
    "a name too long": (tarred(("n" * 300, b"x", {"size": 1})), "too long"),
    "a path too deep": (tarred(("/".join("d" * 30), b"x", {})), "too deep"),
    "an encrypted member": (encrypted, "encrypted|password"),
    "a truncated zip": (truncated(zipped(("a", bytes(range(256)) * 9))), "damaged"),
    "a truncated tar": (truncated(tarred(("a", bytes(20_000), {}))), "damaged"),
    "a wrong checksum": (patched(zipped(("a", b"ABCDEFGH" * 2)), b"PK\x01\x02", b"PK\x01\x03"), "damaged"),
    "no archive at all": (patched(zipped(("a", b"x")), b"PK", b"no"), "damaged"),
}  # fmt: skip


@pytest.mark.parametrize("kind", HOSTILE)
def test_refused_without_a_trace(tmp_path: Path, kind: str) -> None:
    make, words = HOSTILE[kind]
    (tmp_path / "in").mkdir()
    archive = make(tmp_path / "in")
    place = tmp_path / "deep/er"
    place.mkdir(parents=True)
    with pytest.raises(GraftError, match=words) as caught:
        unpack(archive, place / "out", SMALL)
    assert "\n" not in str(caught.value) and archive.name in str(caught.value)
    assert sorted(path.name for path in tmp_path.rglob("*")) == sorted(["in", archive.name, "deep", "er"])
    assert not Path("/tmp/graft-evil").exists()


def test_at_least_fifteen_kinds_are_tried() -> None:
    assert len(HOSTILE) >= 15


def test_a_sparse_file_of_a_terabyte_is_refused(tmp_path: Path) -> None:
    huge = tarred(("s", b"", {"pax_headers": {"GNU.sparse.map": "0,0", "GNU.sparse.size": str(1 << 40)}}))(tmp_path)
    with pytest.raises(GraftError, match="sparse"):
        unpack(huge, tmp_path / "out", SMALL)


@pytest.mark.parametrize("suffix", ["zip", "tar", "tar.gz", "tar.bz2", "tar.xz"])
def test_an_honest_archive_comes_out_whole(tmp_path: Path, suffix: str) -> None:
    members = [("data/rgb/0.png", b"image"), ("data/ss/0.png", b"mask"), ("./data/list.txt", b"0.png\n")]
    archive = tmp_path / f"a.{suffix}"
    if suffix == "zip":
        zipped(*members)(tmp_path)
    else:
        mode = {"tar": "w", "tar.gz": "w:gz", "tar.bz2": "w:bz2", "tar.xz": "w:xz"}[suffix]
        with tarfile.open(archive, mode) as opened:  # type: ignore[call-overload]
            root = tarfile.TarInfo("./")
            root.type = tarfile.DIRTYPE
            opened.addfile(root)
            for name, content in members:
                info = tarfile.TarInfo(name)
                info.size, info.mode = len(content), 0o6777
                opened.addfile(info, io.BytesIO(content))
    unpack(archive, tmp_path / "out", SMALL)
    assert (tmp_path / "out/data/rgb/0.png").read_bytes() == b"image"
    assert (tmp_path / "out/data/list.txt").read_bytes() == b"0.png\n"
    assert not (tmp_path / "out/data/ss/0.png").stat().st_mode & (stat.S_ISUID | stat.S_IXUSR | stat.S_IWOTH)


@pytest.mark.parametrize("suffix", ["gz", "bz2", "xz"])
@pytest.mark.parametrize("place", [0.5, 0.999])
def test_a_byte_that_turned_is_damage_wherever_it_lies(tmp_path: Path, suffix: str, place: float) -> None:
    """Noise does not shrink, so that a turned byte of it unpacks to another one; the last bytes are the checksum's."""
    archive = tmp_path / f"a.tar.{suffix}"
    content = np.random.default_rng(0).bytes(200_000)
    with tarfile.open(archive, f"w:{suffix}") as opened:  # type: ignore[call-overload]
        info = tarfile.TarInfo("image.png")
        info.size = len(content)
        opened.addfile(info, io.BytesIO(content))
    whole = bytearray(archive.read_bytes())
    whole[int(len(whole) * place)] ^= 16
    archive.write_bytes(whole)
    with pytest.raises(GraftError, match=f"{archive} is damaged .*; delete it and fetch it again"):
        unpack(archive, tmp_path / "out", SMALL)
    assert not (tmp_path / "out").exists()


def test_a_flood_behind_the_last_file_is_refused(tmp_path: Path) -> None:
    archive = tarred(("a", b"good", {}))(tmp_path)
    with gzip.open(tmp_path / "a.tar.gz", "wb") as packed:
        packed.write(archive.read_bytes() + bytes(11 << 20))
    with pytest.raises(GraftError, match="more behind its last file than an end"):
        unpack(tmp_path / "a.tar.gz", tmp_path / "out", SMALL)


def test_a_refused_archive_leaves_what_was_unpacked_before(tmp_path: Path) -> None:
    unpack(zipped(("a", b"good"))(tmp_path), tmp_path / "out", SMALL)
    with pytest.raises(GraftError):
        unpack(zipped(("b", b"x"), ("../evil", b"x"))(tmp_path), tmp_path / "out", SMALL)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["a"]
