"""Archives that are small and ask for much."""

from __future__ import annotations

import gzip
import io
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

Make = Callable[[Path], Path]


def header(name: str = "a", size: int = 0, kind: bytes = tarfile.REGTYPE) -> bytes:
    info = tarfile.TarInfo(name)
    info.size, info.type = size, kind
    return info.tobuf(tarfile.GNU_FORMAT)


def padded(content: bytes) -> bytes:
    return content + bytes(-len(content) % 512)


def pax(*records: tuple[str, str], kind: bytes = tarfile.XHDTYPE) -> bytes:
    """An extended header with these records, each with its length before it."""
    content = b""
    for name, value in records:
        rest = f" {name}={value}\n".encode()
        length = len(rest) + 1
        while len(str(length)) + len(rest) != length:
            length = len(str(length)) + len(rest)
        content += str(length).encode() + rest
    return header("pax", len(content), kind) + padded(content)


END = bytes(1024)


def tgz(*parts: bytes) -> Make:
    def make(folder: Path) -> Path:
        with gzip.open(folder / "a.tgz", "wb", compresslevel=1) as file:
            for part in parts:
                file.write(part)
        return folder / "a.tgz"

    return make


def announced(kind: bytes, size: int = 800_000_000) -> Make:
    """An extended header that is as long as it says: zeros shrink to a thousandth."""

    def make(folder: Path) -> Path:
        with gzip.open(folder / "a.tgz", "wb", compresslevel=1) as file:
            file.write(header("long", size, kind))
            for _ in range(size // (1 << 20) // 100):  # a hundredth will do: what is behind is never read
                file.write(bytes(1 << 20))
        return folder / "a.tgz"

    return make


def many(parts: Iterator[bytes]) -> Make:
    return tgz(*parts)


def zip_of_folders(count: int) -> Make:
    def make(folder: Path) -> Path:
        with zipfile.ZipFile(folder / "a.zip", "w") as opened:
            for k in range(count):
                opened.writestr(zipfile.ZipInfo(f"{k}/"), b"")
        return folder / "a.zip"

    return make


def zip_of_entries(count: int) -> Make:
    """A table of contents of many entries for one file."""

    def make(folder: Path) -> Path:
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as opened:
            opened.writestr("a", b"x")
        content = buffer.getvalue()
        at, end = content.index(b"PK\x01\x02"), content.index(b"PK\x05\x06")
        table = content[at:end] * count
        tail = content[end:]
        tail = tail[:8] + b"\xff\xff\xff\xff"[:4] + len(table).to_bytes(4, "little") + tail[16:]
        (folder / "a.zip").write_bytes(content[:at] + table + tail)
        return folder / "a.zip"

    return make


BOMBS: dict[str, tuple[Make, str]] = {
    "a pax header of 800 MB": (announced(tarfile.XHDTYPE), "extended header of 800000000 bytes is too large"),
    "a long name of 800 MB": (announced(tarfile.GNUTYPE_LONGNAME), "too large"),
    "a long link of 800 MB": (announced(tarfile.GNUTYPE_LONGLINK), "too large"),
    "a global header of 800 MB": (announced(tarfile.XGLTYPE), "too large"),
    "Solaris' header of 800 MB": (announced(tarfile.SOLARIS_XHDTYPE), "too large"),
    "global headers without end": (
        many(pax((f"k{k}", "v" * 900), kind=tarfile.XGLTYPE) + header(f"f{k}") for k in range(40)), "one too many",
    ),
    "names in a row": (tgz(*(header("l", 2, b"L") + padded(b"x\0") for _ in range(3000)), header(), END), "in a row"),
    "headers in a row": (tgz(*(pax(("comment", "x")) for _ in range(3000)), header(), END), "in a row"),
    "folders without end": (many(header(f"{k}/", kind=tarfile.DIRTYPE) for k in range(30_000)), "more than 40 folders"),
    "one folder without end": (many(header("./", kind=tarfile.DIRTYPE) for k in range(30_000)), "more than 40 folders"),
    "a zip of folders": (zip_of_folders(60), "more than 40 folders"),
    "a zip's contents without end": (zip_of_entries(300_000), "more than 90 files"),
    "a sparse map in a pax header": (tgz(pax(("GNU.sparse.map", "0,1" * 9)), header(), END), "sparse"),
    "a sparse map of words": (tgz(pax(("GNU.sparse.map", "abc")), header(), END), "sparse"),
    "a sparse file of version 1.0": (
        tgz(pax(("GNU.sparse.major", "1"), ("GNU.sparse.minor", "0")), header("a", 512), padded(b"99999999\n"), END),
        "sparse",
    ),
    "a sparse file of GNU's own kind": (tgz(header("s", 1, tarfile.GNUTYPE_SPARSE), bytes(512), END), "sparse"),
    "a path of a thousand folders": (tgz(pax(("path", "d/" * 1000 + "a")), header(), END), "too long, too deep"),
    "a path too long for a disk": (tgz(pax(("path", ("d" * 190 + "/") * 15 + "a")), header(), END), "too long"),
}  # fmt: skip
DAMAGED: dict[str, Make] = {
    "a sparse size of words": tgz(pax(("GNU.sparse.realsize", "abc")), header(), END),
    "a size of 5 000 digits": tgz(pax(("size", "9" * 5000)), header("a", 4), padded(b"good"), END),
    "a size below zero": tgz(pax(("size", "-1024")), header("a", 4), padded(b"good"), END),
    "a pax header of no records": tgz(header("pax", 9, tarfile.XHDTYPE) + padded(b"no record"), header(), END),
    "a header that is damaged behind a whole file": tgz(header("a", 4), padded(b"good"), b"x" * 512, END),
    "a pax header that is damaged behind a whole file": tgz(
        header("a", 4), padded(b"good"), header("p", 9, tarfile.XHDTYPE) + padded(b"nonsense!"), header("b"), END
    ),
    "no end": tgz(header("a", 4), padded(b"good")),
    "a long name before the end": tgz(header("l", 2, b"L") + padded(b"x\0"), END),
    "a size in base 256 below zero": tgz(header("a", -1024), END),
}
