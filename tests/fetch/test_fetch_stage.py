"""`python -m stages.fetch zenodo` from the record to the folders, and every way in which it may go wrong."""

import io
import json
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest

from stages.fetch.__main__ import main
from stages.generate.__main__ import main as generate
from stages.parts.datasets import ucg
from stages.parts.store.samples import Shards
from tests.fetch.conftest import archive, png
from tests.fetch.server import Site

ROOT = Path(__file__).parents[2]


def fetch(site: Site, *more: str) -> None:
    main(["zenodo", "--api", f"{site.address}/records", "--record", "1", "--wait", "0.01", *more])


def complaint(capsys: pytest.CaptureFixture[str], site: Site, *more: str) -> str:
    capsys.readouterr()
    with pytest.raises(SystemExit) as caught:
        fetch(site, *more)
    assert caught.value.code == 2
    errors = [line for line in capsys.readouterr().err.replace("\r", "\n").splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    return errors[0]


def test_the_record_becomes_folders_by_class_and_a_pinned_table(site: Site, capsys: pytest.CaptureFixture) -> None:
    fetch(site)
    assert sorted(path.name for path in Path("data/published/zenodo").iterdir()) == ["train", "truck"]
    assert Path("data/published/zenodo/train/rgb/2.png").read_bytes() == png(2)
    assert Path("data/published/zenodo/truck/ss/0.png").read_bytes() == png(100)
    lines = Path("data/pins/zenodo.csv").read_text().splitlines()
    assert lines[0] == "name,size,sha256" and [line.split(",")[0] for line in lines[1:]] == sorted(site.files)


def test_the_repos_own_pointers_take_in_what_was_fetched(site: Site, tmp_path: Path) -> None:
    """fetch, then generate with `generate.source: data/zenodo`, as the README has it."""
    shutil.copytree(ROOT / "data/zenodo", tmp_path / "data/zenodo")
    params = (ROOT / "params.yaml").read_text()
    assert "source: data/prompts" in params
    (tmp_path / "params.yaml").write_text(params.replace("source: data/prompts", "source: data/zenodo"))
    rng = np.random.default_rng(0)
    for name in ("train", "bus", "truck"):
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as opened:
            for k in range(2):
                image, mask = rng.integers(0, 256, (32, 32, 3), np.uint8), rng.random((32, 32)) < 0.5
                for path, content in ucg.files(str(k), image, mask).items():
                    opened.writestr(f"dataset_{name}s/{path}", content)
        site.files[f"{name}s.zip"] = buffer.getvalue()
    del site.files["dataset_trains.zip"]
    fetch(site)
    for name in ("train", "bus", "truck"):
        generate([name])
        assert [row["uid"] for row in Shards(f"data/generated/{name}").rows] == [f"{name}-00000{k}" for k in (0, 1)]


def test_a_second_fetch_downloads_nothing(site: Site) -> None:
    fetch(site)
    before = len(site.asked)
    fetch(site)
    assert [path for path, _ in site.asked[before:]] == ["/records/1"]


def test_what_differs_from_the_pins_is_refused_and_the_old_files_stay(
    site: Site, capsys: pytest.CaptureFixture
) -> None:
    fetch(site)
    whole = Path("data/.work/fetch/zenodo/trucks.zip").read_bytes()
    pinned = Path("data/pins/zenodo.csv").read_text()
    site.files["trucks.zip"] = whole[:100] + bytes([whole[100] ^ 1]) + whole[101:]  # as long, and other
    said = complaint(capsys, site)
    assert "trucks.zip has another sha256 than the pinned" in said and "data/pins/zenodo.csv" in said
    assert Path("data/.work/fetch/zenodo/trucks.zip").read_bytes() == whole
    assert Path("data/pins/zenodo.csv").read_text() == pinned
    site.files["trucks.zip"] = whole + b"x"
    assert "another size than the pinned" in complaint(capsys, site)
    del site.files["trucks.zip"]
    assert "no longer has trucks.zip" in complaint(capsys, site)


def test_a_wrong_hash_in_the_record_is_a_sentence(site: Site, capsys: pytest.CaptureFixture) -> None:
    answer = json.loads(site.listing())
    answer["files"][0]["checksum"] = "md5:" + "0" * 32
    site.record = json.dumps(answer).encode()
    said = complaint(capsys, site)
    assert "dataset_trains.zip" in said and "md5" in said
    assert not Path("data/published").exists() and not Path("data/pins").exists()


@pytest.mark.parametrize(
    ("record", "words"),
    [
        (b"<html>", "no record that Zenodo's API gives"),
        (b"[]", "no record that Zenodo's API gives"),
        (b'{"files": [{"key": "a"}]}', "no record that Zenodo's API gives"),
        (b'{"id": 1, "title": "x"}', "lists no public file (it holds id, title)"),
        (
            json.dumps(
                {"files": [{"key": "../a", "size": 1, "checksum": "md5:" + "0" * 32, "links": {"self": "x"}}]}
            ).encode(),
            "is no plain file name",
        ),
    ],
)
def test_an_answer_that_is_no_record_is_a_sentence(
    site: Site, capsys: pytest.CaptureFixture, record: bytes, words: str
) -> None:
    site.record = record
    assert words in complaint(capsys, site)


def test_a_record_that_does_not_exist_is_a_sentence(site: Site, capsys: pytest.CaptureFixture) -> None:
    assert "there is no such record" in complaint(capsys, site, "--record", "2")


def test_no_network_is_a_sentence(site: Site, capsys: pytest.CaptureFixture) -> None:
    said = complaint(capsys, site, "--api", "http://127.0.0.1:9/records")
    assert "cannot be reached" in said and "--from" in said


def test_a_layout_that_is_not_known_says_what_was_found(site: Site, capsys: pytest.CaptureFixture) -> None:
    site.files = {"stuff.zip": archive("dataset/")}
    said = complaint(capsys, site)
    assert "stuff.zip/dataset" in said and "names no class" in said and "--class <name>=stuff.zip/dataset" in said
    fetch(site, "--class", "bus=stuff.zip/dataset")
    assert Path("data/published/zenodo/bus/rgb/0.png").is_file()


def test_a_record_without_an_archive_says_what_it_holds(site: Site, capsys: pytest.CaptureFixture) -> None:
    site.files = {"trains.rar": b"Rar!", "readme.txt": b"hello"}
    said = complaint(capsys, site)
    assert "expected zip or tar archives" in said and "readme.txt, trains.rar" in said


def test_a_new_version_of_the_record_leaves_nothing_of_the_old_one(site: Site) -> None:
    fetch(site)
    Path("data/pins/zenodo.csv").unlink()
    site.files = {"trains_v2.zip": archive("train/", 2), "trucks.zip": site.files["trucks.zip"]}
    fetch(site)
    assert len(list(Path("data/published/zenodo/train/rgb").iterdir())) == 2


def test_a_class_that_was_misnamed_does_not_stay(site: Site) -> None:
    """The folder of a split is taken for the class train, until --class says what it holds."""
    site.files = {"data.zip": archive("train/")}
    fetch(site)
    assert [path.name for path in Path("data/published/zenodo").iterdir()] == ["train"]
    fetch(site, "--class", "bus=data.zip/train")
    assert [path.name for path in Path("data/published/zenodo").iterdir()] == ["bus"]


def test_the_shadows_of_a_zip_made_on_a_mac_are_no_cutouts(site: Site) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as opened:
        for root in ("bus/", "__MACOSX/bus/"):
            opened.writestr(f"{root}rgb/0.png", png(0))
            opened.writestr(f"{root}ss/0.png", png(1))
    site.files = {"a.zip": buffer.getvalue()}
    fetch(site)
    assert [path.name for path in Path("data/published/zenodo").iterdir()] == ["bus"]


def test_a_record_without_cutouts_says_what_was_found_and_expected(site: Site, capsys: pytest.CaptureFixture) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as opened:
        opened.writestr("images/0.jpg", b"x")
    site.files = {"a.zip": buffer.getvalue()}
    said = complaint(capsys, site)
    assert "a.zip/images/" in said and "expected a folder per class that holds rgb/ and ss/" in said


@pytest.mark.parametrize("form", ["path", "file://", "mirror"])
def test_a_fetched_folder_serves_others(site: Site, tmp_path: Path, form: str) -> None:
    fetch(site)
    place = shutil.move("data/.work/fetch/zenodo", tmp_path / "usb stick")
    shutil.rmtree("data/published")
    before = len(site.asked)
    mirror = f"{site.address}/mirror"
    source = {"path": str(place), "file://": Path(place).as_uri(), "mirror": mirror}[form]
    main(["zenodo", "--from", source, "--wait", "0.01"])
    assert Path("data/published/zenodo/train/rgb/0.png").read_bytes() == png(0)
    assert all(path.startswith("/mirror/") for path, _ in site.asked[before:])


def test_a_plain_folder_of_the_archives_will_do(site: Site, tmp_path: Path) -> None:
    (tmp_path / "downloads").mkdir()
    for name, content in site.files.items():
        (tmp_path / "downloads" / name).write_bytes(content)
    main(["zenodo", "--from", "downloads"])
    assert Path("data/published/zenodo/truck/rgb/0.png").is_file()


@pytest.mark.parametrize("fault", ["truncated", "a turned byte", "no archive", "no cutouts"])
def test_nothing_is_pinned_before_every_archive_is_taken_out_whole(
    site: Site, capsys: pytest.CaptureFixture, tmp_path: Path, fault: str
) -> None:
    """And what was whole is taken at once, from the same place."""
    place, whole = tmp_path / "downloads", site.files["trucks.zip"]
    place.mkdir()
    (place / "dataset_trains.zip").write_bytes(site.files["dataset_trains.zip"])
    turned = bytearray(whole)
    turned[200] ^= 1
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as opened:
        opened.writestr("trucks/notes.txt", b"x")
    faults = {"truncated": whole[:-50], "a turned byte": bytes(turned), "no archive": b"<html>" * 9}
    (place / "trucks.zip").write_bytes(faults.get(fault, b"x"))
    if fault == "no cutouts":
        (place / "dataset_trains.zip").write_bytes(buffer.getvalue())
        (place / "trucks.zip").unlink()
    assert complaint(capsys, site, "--from", str(place))
    assert not Path("data/pins").exists()
    (place / "dataset_trains.zip").write_bytes(site.files["dataset_trains.zip"])
    (place / "trucks.zip").write_bytes(whole)
    main(["zenodo", "--from", str(place)])
    assert len(Path("data/pins/zenodo.csv").read_text().splitlines()) == 3


@pytest.mark.parametrize("place", ["", " ", ".", "file:", "file://", "./", "data", "stages/fetch", "file:///dev/null"])
def test_a_place_that_is_no_record_is_refused_and_pins_nothing(
    site: Site, capsys: pytest.CaptureFixture, place: str
) -> None:
    """The folder of the repo holds files, and no archive."""
    Path("README.md").write_text("x")
    assert complaint(capsys, site, "--from", place)
    assert not Path("data/pins").exists() and not Path("data/published").exists()


@pytest.mark.parametrize(
    "address",
    [
        "http://[::1", "http://", "https://:443/x", "http://a:port/", "http://a:99999/", "http:///record", "ftp://a/b",
        "s3://bucket/x", "file://data/zenodo", "http://a b/", "http://\ud800/", "a\0b", "http://.example.invalid:80/",
    ],
    ids=ascii,
)  # fmt: skip
def test_a_malformed_address_is_a_sentence(site: Site, capsys: pytest.CaptureFixture, address: str) -> None:
    assert complaint(capsys, site, "--from", address)
    if "://" in address:
        assert complaint(capsys, site, "--api", address)


@pytest.mark.parametrize("link", ["http://[::1", "http://a:port/x", "nothing://x", "http://"])
def test_a_malformed_address_in_the_record_is_a_sentence(site: Site, capsys: pytest.CaptureFixture, link: str) -> None:
    answer = json.loads(site.listing())
    answer["files"][0]["links"] = {"self": link}
    site.record = json.dumps(answer).encode()
    assert "no address that can be asked" in complaint(capsys, site)


@pytest.mark.parametrize(
    "record",
    [b"[" * 100_000, b'{"files":' * 50_000, b'{"files": [{"key": "a", "size": ' + b"9" * 5000 + b"}]}", b"\xff"],
)
def test_json_that_nests_without_end_is_a_sentence(site: Site, capsys: pytest.CaptureFixture, record: bytes) -> None:
    site.record = record
    assert "no record that Zenodo's API gives" in complaint(capsys, site)


@pytest.mark.parametrize(
    "words", [("--record", "0"), ("--record", "-5"), ("--wait", "nan"), ("--wait", "-1"), ("--wait", "inf")]
)
def test_a_number_without_sense_is_a_sentence(
    site: Site, capsys: pytest.CaptureFixture, words: tuple[str, str]
) -> None:
    assert words[0] in complaint(capsys, site, *words)


@pytest.mark.parametrize("content", [b"\xff\xfe", b"name,size,sha256\nx,1\n", b'name,size,sha256\n"' + b"x" * 200_000])
def test_a_damaged_table_of_pins_is_a_sentence(site: Site, capsys: pytest.CaptureFixture, content: bytes) -> None:
    Path("data/pins").mkdir(parents=True)
    Path("data/pins/zenodo.csv").write_bytes(content)
    assert "data/pins/zenodo.csv is damaged; restore it with git" in complaint(capsys, site)
