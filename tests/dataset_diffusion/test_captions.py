"""The table of pictures to draw: from any file of captions, and one sentence for what cannot be one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from stages.dataset_diffusion.captions import TABLE, main
from stages.parts.errors import GraftError
from stages.parts.prompts.caption_files import Caption, read_captions
from stages.parts.prompts.caption_table import read_table
from tests.dataset_diffusion.conftest import CLASSES, fails, set_line

NAMES = CLASSES[1:]


def test_the_table_of_photos_has_a_row_for_each_picture_asked_for(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main([])
    entries = read_table(TABLE, "small_voc")
    assert [entry.uid for entry in entries] == [f"{k:06d}" for k in range(5)]
    assert [entry.classes for entry in entries] == [
        ("bus", "car"), ("car",), ("person",), ("truck", "bus"), ("bus", "car"),
    ]  # fmt: skip
    assert entries[0].class_prompt == "bus car" and entries[0].spans == ((1,), (2,))
    told = capsys.readouterr().out
    assert "1 of 6 captions name no class of small_voc" in told and "an empty road" in told
    assert [line.split() for line in told.splitlines() if line.startswith("bus")] == [["bus", "3", "3"]]


def test_more_pictures_than_captions_take_them_in_turn_and_change_none_of_before(project: Path) -> None:
    main([])
    before = TABLE.read_text()
    set_line({"captions.count": 12})
    main([])
    assert TABLE.read_text().startswith(before)
    assert len(read_table(TABLE, "small_voc")) == 12


def test_a_file_of_any_space_makes_a_table_beside_it(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("mine.txt").write_text("A man with a hot dog\n\nan empty road\n")
    main(["--from", "mine.txt", "--space", "coco"])
    (entry,) = read_table(Path("mine.table.jsonl"), "coco")
    assert entry.classes == ("person", "hot dog") and entry.spans == ((1,), (2, 3))
    assert "1 of 2 captions name no class of coco" in capsys.readouterr().out
    assert not TABLE.exists()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.txt", "a bus and a car\n a dog \n"),
        ("a.csv", "\ufeffcaption,classes\na bus and a car,bus;car;car\na dog,\n"),
        ("a.jsonl", '{"caption": "a bus and a car", "classes": ["bus", "car", "car"]}\n\n{"caption": "a dog"}\n'),
    ],
)
def test_captions_come_from_text_csv_and_json_lines(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    given = None if name == "a.txt" else ("bus", "car", "car")
    assert read_captions(tmp_path / name, NAMES) == [Caption("a bus and a car", given), Caption("a dog")]


def test_a_published_file_gives_its_captions_without_the_class_prompt(tmp_path: Path) -> None:
    record = {"filename": "0.jpg", "caption": "a bus and a car; bus car", "class_prompt": "bus car"}
    (tmp_path / "p.json").write_text(json.dumps([record]))
    assert read_captions(tmp_path / "p.json", NAMES) == [Caption("a bus and a car", ("bus", "car"))]


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.csv", "text\nx\n", "has no column caption"),
        ("a.csv", "caption,classes\nx,unicorn\n", "a.csv line 2: there is no class 'unicorn'; the classes are car"),
        ("a.jsonl", '{"caption": "x", "classes": ["unicorn"]}', "a.jsonl line 1: there is no class 'unicorn'"),
        ("a.jsonl", '{"caption": "x", "classes": "bus"}', "must be a list"),
        ("a.jsonl", '{"classes": ["bus"]}', "must be an object with the texts caption"),
        ("a.jsonl", "{", "is no .jsonl file"),
        ("a.json", '[{"filename": "0", "caption": "x", "class_prompt": "bus unicorn"}]', "'unicorn', which begins no"),
        ("a.json", "{}", "must be a list of records"),
        ("a.pdf", "", "captions come from"),
        ("b", "", "no such file or folder"),
    ],
)
def test_what_is_no_file_of_captions_is_a_sentence(tmp_path: Path, name: str, text: str, said: str) -> None:
    if name != "b":
        (tmp_path / name).write_text(text)
    with pytest.raises(GraftError, match=said):
        read_captions(tmp_path / name, NAMES)


def test_a_file_with_none_of_the_classes_is_a_sentence(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("mine.txt").write_text("an empty road\n")
    assert "no caption names a class of small_voc (car, truck" in fails(main, capsys, "--from", "mine.txt")


def test_a_space_that_there_is_not_and_a_space_without_a_file_are_sentences(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("mine.txt").write_text("a bus\n")
    assert "no label space 'vco'" in fails(main, capsys, "--from", "mine.txt", "--space", "vco")
    assert "give both, or neither" in fails(main, capsys, "--space", "voc")


def test_a_table_of_another_label_space_or_a_damaged_one_is_a_sentence(project: Path) -> None:
    main([])
    with pytest.raises(GraftError, match=r"a table of the label space small_voc, and .* is voc"):
        read_table(TABLE, "voc")
    TABLE.write_text("{}\n")
    with pytest.raises(GraftError, match="is no table of captions; run"):
        read_table(TABLE, "small_voc")
