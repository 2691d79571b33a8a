"""The headers of a tar, judged before what they announce is read.

tarfile reads an extended header (pax, or a long name of GNU tar) whole, follows one header to the next by recursion,
keeps global ones and every member for good, and takes a damaged header for the end of the archive. So a few bytes can
ask for gigabytes, a turned one loses the pictures behind it without a word, and both are seen to here.
"""

from __future__ import annotations

import tarfile
from typing import Any

RECORDS = (tarfile.XHDTYPE, tarfile.SOLARIS_XHDTYPE)
EXTENDED = (tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK, tarfile.XGLTYPE, *RECORDS)
MOST = 64 << 10  # bytes of one extended header: a name, some times and owners
MOST_TOGETHER = 64 << 20  # of all
MOST_GLOBAL = 4 << 10  # of those that hold for all members behind them, and are gone through for each
MOST_IN_A_ROW = 8  # before one member


class Refused(Exception):
    """Why an archive is not taken out, though it may be whole: hostile, or not what an archive of pictures is."""


class Archive(tarfile.TarFile):
    """A tar that is read member by member, and none remembered. Refused for what its headers announce."""

    in_a_row = together = for_all = 0

    def next(self) -> tarfile.TarInfo | None:
        member = super().next()
        self.members.clear()  # type: ignore[attr-defined]
        return member

    def announced(self, size: int, for_all: bool) -> None:
        """Count an extended header of this size before it is read."""
        self.in_a_row += 1
        self.together += size
        self.for_all += size * for_all
        if size > MOST or self.together > MOST_TOGETHER or self.for_all > MOST_GLOBAL:
            raise Refused(f"an extended header of {size} bytes is too large, or one too many")
        if self.in_a_row > MOST_IN_A_ROW:
            raise Refused(f"it has more than {MOST_IN_A_ROW} extended headers in a row")


class Header(tarfile.TarInfo):
    """One header of an Archive. _proc_member is what tarfile names for a subclass to override: it is called for each
    header, of each kind, and reads what that announces."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Any:
        try:
            return super().frombuf(buf, encoding, errors)
        except tarfile.EOFHeaderError:  # type: ignore[attr-defined]  # zeros: the end
            raise
        except tarfile.HeaderError as error:
            raise tarfile.ReadError(f"{error} where a header or the end should be") from None

    def _proc_member(self, archive: Archive) -> tarfile.TarInfo:
        self._judge_size()
        if self.type == tarfile.GNUTYPE_SPARSE:
            self._refuse_sparse()
        if self.type in EXTENDED:
            archive.announced(self.size, self.type == tarfile.XGLTYPE)
        try:
            member: tarfile.TarInfo = super()._proc_member(archive)  # type: ignore[misc]
        except tarfile.HeaderError as error:
            raise tarfile.ReadError(f"an extended header of it: {error}") from None
        if self.type in RECORDS and self.size and not member.pax_headers:
            raise tarfile.ReadError("an extended header of it has no record that can be read")
        Header._judge_size(member)  # a pax header may give another than the header itself
        archive.in_a_row = 0
        return member

    def _judge_size(self: tarfile.TarInfo) -> None:
        if self.size < 0:  # read(-1) would read all, and seeking back would never end
            raise tarfile.ReadError(f"{self.name[:80]!r} claims {self.size} bytes")

    def _refuse_sparse(self, *_: object) -> None:
        raise Refused(f"{self.name[:80]!r} is a sparse file, not a plain one")  # its map is a bomb of its own

    _proc_gnusparse_00 = _proc_gnusparse_01 = _proc_gnusparse_10 = _refuse_sparse


Archive.tarinfo = Header
