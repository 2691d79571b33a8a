"""However the server misbehaves, what gets a file's name is the file; and the server is asked for no byte twice."""

import hashlib
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stages.fetch.download import Patience, download, part_of
from stages.fetch.record import Listed
from stages.parts.errors import GraftError
from tests.fetch.server import Site, serve

CONTENT = np.random.default_rng(0).bytes(300_000)
OTHER = np.random.default_rng(1).bytes(300_000)
QUICK = Patience(first=0.01, tries=4, timeout=2.0)
MD5 = hashlib.md5(CONTENT).hexdigest()


def get(folder: Path, *tricks: dict[str, Any], always: dict[str, Any] | None = None) -> tuple[Path, Site]:
    path = folder / "a.zip"
    with serve(Site({"a.zip": CONTENT}, list(tricks), always or {})) as site:
        url = f"{site.address}/files/a.zip"
        download(Listed("a.zip", len(CONTENT), MD5, url), [url], path, QUICK)
    return part_of(path), site


def half(folder: Path, content: bytes = CONTENT, etag: str = '"one"') -> None:
    """What a run that was stopped half-way leaves."""
    (folder / "a.zip.part").write_bytes(content[:150_000])
    (folder / "a.zip.part.etag").write_text(etag)


def test_a_download_comes_whole_in_one_request(tmp_path: Path) -> None:
    part, site = get(tmp_path)
    assert part.read_bytes() == CONTENT and site.downloads("a.zip") == [""]
    assert not (tmp_path / "a.zip").exists(), "the caller names it, once every hash is right"


def test_a_stopped_download_asks_for_the_rest_alone(tmp_path: Path) -> None:
    half(tmp_path)
    part, site = get(tmp_path)
    assert part.read_bytes() == CONTENT and site.downloads("a.zip") == ["bytes=150000-"]


def test_a_whole_part_is_not_asked_for_at_all(tmp_path: Path) -> None:
    (tmp_path / "a.zip.part").write_bytes(CONTENT)
    part, site = get(tmp_path)
    assert part.read_bytes() == CONTENT and site.downloads("a.zip") == []


@pytest.mark.parametrize(
    ("name", "tricks"),
    [
        ("the connection drops", [{"drop": 1}, {"drop": 70_000}, {"drop": 99_999}]),
        ("the length is too long", [{"length": 400_000}]),
        ("no length is told", [{"no_length": True, "drop": 1000}]),
        ("it is busy", [{"status": 503}, {"status": 429}, {"status": 502}]),
        ("more bytes than listed", [{"body": CONTENT + b"more"}]),
        ("a page instead of the file", [{"body": b"<html>sorry</html>"}]),
        ("other bytes of the right length", [{"body": OTHER}]),
    ],
)
def test_a_misbehaving_server_is_outlived(tmp_path: Path, name: str, tricks: list[dict]) -> None:
    part, _ = get(tmp_path, *tricks)
    assert part.read_bytes() == CONTENT, name


@pytest.mark.parametrize(
    ("name", "tricks", "asked"),
    [
        ("a range that begins elsewhere", [{"start": 100_000}], ["bytes=150000-", ""]),
        ("a lying Content-Range", [{"range": "bytes 0-299999/300000"}], ["bytes=150000-", ""]),
        ("another total", [{"range": "bytes 150000-299999/300001"}], ["bytes=150000-", ""]),
        ("no Content-Range that one can read", [{"range": "bytes what"}], ["bytes=150000-", ""]),
        ("416", [{"status": 416}], ["bytes=150000-", ""]),
        ("200 instead of 206", [{"ignores_range": True}], ["bytes=150000-"]),
        ("a changed ETag, told by 200", [{"etag": '"two"'}], ["bytes=150000-"]),
        ("a changed ETag in a 206", [{"etag": '"two"', "ignores_if_range": True}], ["bytes=150000-", ""]),
    ],
)
def test_a_wrong_answer_to_a_range_starts_again(tmp_path: Path, name: str, tricks: list, asked: list) -> None:
    half(tmp_path, OTHER if "ETag" in name else CONTENT)
    part, site = get(tmp_path, *tricks)
    assert part.read_bytes() == CONTENT, name
    assert site.downloads("a.zip") == asked


def test_a_damaged_part_is_found_by_its_md5_and_fetched_again(tmp_path: Path) -> None:
    half(tmp_path, OTHER)
    part, site = get(tmp_path)
    assert part.read_bytes() == CONTENT and site.downloads("a.zip") == ["bytes=150000-", ""]


def test_a_part_longer_than_the_file_is_dropped(tmp_path: Path) -> None:
    (tmp_path / "a.zip.part").write_bytes(CONTENT + b"x")
    assert get(tmp_path)[0].read_bytes() == CONTENT


@pytest.mark.parametrize("form", ["seconds", "date"])
def test_retry_after_is_honoured(tmp_path: Path, form: str) -> None:
    then = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() + 2))
    began = time.monotonic()
    get(tmp_path, {"status": 503, "headers": {"Retry-After": "1" if form == "seconds" else then}})
    assert time.monotonic() - began >= 0.9


def test_waits_grow_and_end() -> None:
    patience = Patience(first=1.0, most=10.0)
    assert [patience.wait(k, None) for k in range(1, 7)] == [1, 2, 4, 8, 10, 10]
    assert patience.wait(1, 7.0) == 7.0 and patience.wait(1, -5.0) == 0.0 and patience.wait(1, 1e9) == 3600.0


@pytest.mark.parametrize(
    ("always", "words"),
    [
        ({"status": 404}, ["404"]),
        ({"status": 403}, ["403"]),
        ({"status": 503}, ["503", "4 times in a row"]),
        ({"drop": 0}, ["times in a row"]),
        ({"body": OTHER}, ["md5"]),
        ({"body": CONTENT + b"x"}, ["more bytes than listed"]),
    ],
)
def test_a_server_that_never_mends_is_one_sentence(tmp_path: Path, always: dict, words: list[str]) -> None:
    with pytest.raises(GraftError) as caught:
        get(tmp_path, always=always)
    said = str(caught.value)
    assert "\n" not in said and all(word in said for word in ["a.zip", *words, "--from"]), said


def test_bytes_that_came_are_kept_when_the_server_gives_up(tmp_path: Path) -> None:
    with pytest.raises(GraftError):
        get(tmp_path, {"drop": 123_456}, always={"status": 503})
    part, site = get(tmp_path)
    assert part.read_bytes() == CONTENT and site.downloads("a.zip") == ["bytes=123456-"]


def test_the_next_mirror_is_asked_when_the_first_has_nothing(tmp_path: Path) -> None:
    with serve(Site({"a.zip": CONTENT}, [{"status": 404}])) as site:
        urls = [f"{site.address}/files/a.zip", f"{site.address}/mirror/a.zip"]
        download(Listed("a.zip", len(CONTENT), MD5, urls[0]), urls, tmp_path / "a.zip", QUICK)
    assert part_of(tmp_path / "a.zip").read_bytes() == CONTENT


def test_an_empty_file_is_a_file(tmp_path: Path) -> None:
    empty = Listed("none", 0, hashlib.md5(b"").hexdigest(), "http://127.0.0.1:9/none")
    download(empty, [empty.url], tmp_path / "none", QUICK)
    assert part_of(tmp_path / "none").read_bytes() == b""
