"""One file over HTTP: resumed where it stopped, never trusted before its hash, never half under its own name.

While it comes it is NAME.part, beside NAME.part.etag, which tells what the server called the version that the
bytes are of. Every way in which a server may answer is an `Outcome`; the loop below is the only place that
decides what follows from it.
"""

from __future__ import annotations

import email.utils
import hashlib
import os
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import requests
import urllib3
from tqdm import tqdm

from stages.fetch.record import Listed
from stages.parts.errors import GraftError

BLOCK = 1 << 20
CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+)")
BUSY = (429, 500, 502, 503, 504)


class Outcome(Enum):
    """WHOLE: as many bytes as listed; LATER: try again from here; RESTART: what was there is worthless."""

    WHOLE = "whole"
    LATER = "later"
    RESTART = "restart"


@dataclass(frozen=True)
class Patience:
    """Waits of first, 2 first, 4 first, ... seconds; `tries` failures in a row without one new byte end it."""

    first: float = 1.0
    most: float = 120.0
    tries: int = 6
    restarts: int = 3
    timeout: float = 60.0

    def wait(self, failures: int, asked: float | None) -> float:
        """Seconds to wait after this many failures in a row; a server's Retry-After is honoured up to an hour."""
        grown = min(self.first * 2 ** (failures - 1), self.most)
        return grown if asked is None else max(0.0, min(asked, 3600.0))


class Unavailable(Exception):
    """This URL will not give the file; another one may."""


def download(file: Listed, urls: Sequence[str], path: Path, patience: Patience) -> None:
    """Bring the file to path.part, whole and with the listed md5, from the first URL that gives it.

    Raises GraftError with every URL's reason; what came so far stays in path.part."""
    reasons = []
    for url in urls:
        try:
            _from(url, file, path, patience)
            return
        except Unavailable as reason:
            reasons.append(f"{url}: {reason}")
    raise GraftError(
        f"{file.name} could not be fetched ({'; '.join(reasons)}); run the same command again to go on from where it "
        f"stopped, or give a mirror with --from"
    )


def _from(url: str, file: Listed, path: Path, patience: Patience) -> None:
    part, failures, restarts = part_of(path), 0, 0
    with tqdm(total=file.size, desc=file.name, unit="B", unit_scale=True, unit_divisor=1024) as progress:
        while True:
            before = _size(part)
            progress.n = before
            progress.refresh()
            try:
                outcome, asked, why = _request(url, file, path, patience.timeout, progress)
            except ValueError as error:  # requests' own for a malformed address, and what it lets through
                raise Unavailable(f"no address that can be asked ({error})") from None
            except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
                outcome, asked, why = Outcome.LATER, None, f"connection lost ({type(error).__name__})"
            if outcome is Outcome.WHOLE and file.md5 in (None, _md5(part)):
                return
            if outcome is not Outcome.LATER:
                why = why or f"its md5 is not the listed {file.md5}"
                _discard(path)
                restarts += 1
                if restarts > patience.restarts:
                    raise Unavailable(f"{why}, {restarts} times")
            failures = 0 if _size(part) > before else failures + 1
            if failures >= patience.tries:
                raise Unavailable(f"{why}, {failures} times in a row")
            wait = patience.wait(max(failures, 1), asked)
            progress.set_postfix_str(f"{why}; next try in {wait:.0f} s")
            time.sleep(wait)


def part_of(path: Path) -> Path:
    return path.with_name(path.name + ".part")


def _etag_of(path: Path) -> Path:
    return path.with_name(path.name + ".part.etag")


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _discard(path: Path) -> None:
    part_of(path).unlink(missing_ok=True)
    _etag_of(path).unlink(missing_ok=True)


def _md5(path: Path) -> str:
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "md5").hexdigest()


def _request(url: str, file: Listed, path: Path, timeout: float, progress: tqdm) -> tuple[Outcome, float | None, str]:
    """One request for the bytes that are missing: the outcome, the server's Retry-After, and why if it failed."""
    part = part_of(path)
    have = _size(part)
    if have == file.size:
        if not have:
            part.touch()
        return Outcome.WHOLE, None, ""
    if have > file.size:
        return Outcome.RESTART, None, "more bytes than listed"
    etag = _etag_of(path).read_text() if _etag_of(path).exists() else ""
    headers = {"Accept-Encoding": "identity"}  # a compressed body would be counted in other bytes
    if have:
        headers["Range"] = f"bytes={have}-"
        if etag and not etag.startswith("W/"):
            headers["If-Range"] = etag
    with requests.get(url, headers=headers, stream=True, timeout=timeout) as answer:
        if answer.status_code in BUSY:
            return Outcome.LATER, _retry_after(answer), f"the server answered {answer.status_code}"
        if answer.status_code == 416:
            return Outcome.RESTART, None, "the server has no such range"
        if answer.status_code not in (200, 206):
            raise Unavailable(f"the server answered {answer.status_code} {answer.reason}")
        given = answer.headers.get("ETag", "")
        if answer.status_code == 206:
            if not have or (etag and given and given != etag):
                return Outcome.RESTART, None, "the file changed on the server"
            if not _fits(answer.headers.get("Content-Range", ""), have, file.size):
                return Outcome.RESTART, None, "the server sent another range than was asked for"
        else:
            _discard(path)
            _etag_of(path).write_text(given)
            progress.n = 0
        return _receive(answer, part, file.size, progress)


def _fits(content_range: str, start: int, size: int) -> bool:
    match = CONTENT_RANGE.fullmatch(content_range.strip())
    return match is not None and (int(match[1]), int(match[3])) == (start, size)


def _receive(answer: requests.Response, part: Path, size: int, progress: tqdm) -> tuple[Outcome, float | None, str]:
    """Append the body as it arrives, so that a lost connection loses no byte; none beyond the listed size."""
    with open(part, "ab") as stream:
        room = size - stream.tell()
        while block := answer.raw.read1(BLOCK, decode_content=False):
            if len(block) > room:
                return Outcome.RESTART, None, "the server sent more bytes than listed"
            stream.write(block)
            room -= len(block)
            progress.update(len(block))
        stream.flush()
        os.fsync(stream.fileno())
    return (Outcome.LATER, None, f"{room} bytes are missing") if room else (Outcome.WHOLE, None, "")


def _retry_after(answer: requests.Response) -> float | None:
    """Seconds that Retry-After asks for, given as such or as a date; None when it is absent or makes no sense."""
    text = answer.headers.get("Retry-After", "").strip()
    if text.isdigit():
        return float(text)
    try:
        return email.utils.parsedate_to_datetime(text).timestamp() - time.time()
    except ValueError:
        return None
