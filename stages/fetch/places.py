"""Where a record comes from: Zenodo, a mirror, a folder; and the list of its files there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote, urlparse

import requests

from stages.fetch.record import RECORD_NAME, Listed, in_folder, parse
from stages.fetch.unpack import is_archive
from stages.parts.errors import GraftError

MOST_LISTING = 16 << 20  # bytes of a record's list of files


def listing(source: str | None, record: str, work: Path) -> list[Listed]:
    """The record's files: from the API, from a mirror's record.json, or from a folder. Kept as record.json."""
    if source is not None and (folder := local(source, "--from")):
        listed = in_folder(folder)
        if not any(is_archive(file.name) for file in listed):
            raise no_archive(folder, [file.name for file in listed])
        return listed
    url = f"{source.rstrip('/')}/{RECORD_NAME}" if source else record
    try:
        with requests.get(url, timeout=60, headers={"Accept": "application/json"}, stream=True) as answer:
            if answer.status_code == 404:
                raise GraftError(f"{url}: there is no such record; check its number, or the mirror's address")
            if answer.status_code != 200:
                raise GraftError(f"{url}: the server answered {answer.status_code} {answer.reason}; try again later")
            content = b"".join(up_to(MOST_LISTING, answer.iter_content(1 << 16), url))
    except ValueError as error:  # requests' own for a malformed address, and what it lets through
        raise GraftError(f"{url} is no address that can be asked ({error}); correct it") from None
    except OSError as error:  # requests' own too; a certificate's file that is missing
        why = type(error).__name__ if isinstance(error, requests.RequestException) else str(error)
        raise GraftError(f"{url} cannot be reached ({why}); check the network, or name a mirror with --from") from None
    listed = parse(content, url)
    (work / RECORD_NAME).write_bytes(content)
    return [replace(file, url=f"{source.rstrip('/')}/{file.name}") for file in listed] if source else listed


def up_to(most: int, blocks: Iterable[bytes], url: str) -> Iterator[bytes]:
    """The blocks; GraftError when they are longer together."""
    for block in blocks:
        most -= len(block)
        if most < 0:
            raise GraftError(f"{url}: this is no list of a record's files: it does not end")
        yield block


def local(source: str, option: str) -> Path | None:
    """The folder that a path or file:// names; None for http and https. GraftError for what names neither."""
    try:
        if not source.isprintable():
            raise ValueError("it has a character that cannot be printed")
        address = urlparse(source)
        if address.scheme in ("http", "https"):
            if not address.hostname or address.port == 0:
                raise ValueError("it names no server")
            return None
        if address.scheme == "file" and address.netloc not in ("", "localhost"):
            raise ValueError("a path after file:// must begin with a third slash")
        if address.scheme not in ("", "file") and "://" in source:
            raise ValueError(f"{address.scheme}:// is not known here")
        path = unquote(address.path) if address.scheme == "file" else source
        if not path.strip():
            raise ValueError("it is empty")
    except ValueError as error:
        raise GraftError(
            f"{option} {source!r}: {error}; give a folder, file:///..., http://... or https://..."
        ) from None
    return Path(path)


def no_archive(place: Path, held: Sequence[str]) -> GraftError:
    shown = ", ".join(held[:12]) + ", ..." * (len(held) > 12)
    return GraftError(f"{place}: expected zip or tar archives of cutouts, but the record holds {shown}")
