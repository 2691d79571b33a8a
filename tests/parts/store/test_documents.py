"""A damaged or senseless document is one sentence with its name in it, whatever is in it."""

from pathlib import Path

import pytest

from stages.parts.errors import GraftError
from stages.parts.store.documents import read_csv, read_json, shown, yaml_table

ALIASES = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{k}: &a{k} [{', '.join([f'*a{k - 1}'] * 10)}]\n" for k in range(1, 10)
)


@pytest.mark.parametrize(
    "text",
    [
        "seed: 2026-02-30", "seed: !!int abc", "seed: !!float x", "seed: 9999-99-99 25:61:61",
        f"seed: {'9' * 5000}", "seed: !!python/object:os.system x", "a: *b", "a: {b: c",
        "\tseed: 1", "seed: !!timestamp x", "a: \x07", '"\\ud800": 1', 'a: "\\ud800"', 'a: "b\\0c"', "a: &a [*a]",
        ALIASES, "a: " + "[" * 400 + "]" * 400, "a: " + "[" * 4000, "a: 1\na: 2", "- a", "", "null", "7", "[]",
    ],
)  # fmt: skip
def test_yaml_without_sense_is_one_sentence(text: str) -> None:
    with pytest.raises(GraftError) as caught:
        yaml_table(text, "some.yaml", "a table")
    said = str(caught.value)
    assert said.startswith("some.yaml ") and "\n" not in said and len(said) < 600


def test_yaml_with_sense_is_read() -> None:
    assert yaml_table("a: &x {b: 1e-2}\nc: *x\nd: 0xff", "some.yaml", "a table") == {
        "a": {"b": 0.01}, "c": {"b": 0.01}, "d": 255,
    }  # fmt: skip


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"7", b"{", b"\xff\xfe", b'{"a": 1', b"[" * 100_000, b'{"a": "\\ud800"}', b"null", b"{}}"]
)
def test_damaged_json_is_one_sentence(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "some.json").write_bytes(content)
    with pytest.raises(GraftError, match=r"some\.json .*(run it again|write it plainly|correct it)"):
        read_json(tmp_path / "some.json", "run it again")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"a\n1\n",
        b"a,b\n1\n",
        b"a,b\n1,2,3\n",
        b"\xff\xfe",
        b"a,b\n1,2\n3",
        b"b,c\n1,2\n",
        b'a,b\n\x001,2\n"' + b"x" * 200_000,
    ],
)
def test_a_damaged_csv_is_one_sentence(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "some.csv").write_bytes(content)
    with pytest.raises(GraftError, match=r"some\.csv.*; run it again$"):
        read_csv(tmp_path / "some.csv", ["a", "b"], "run it again")


def test_a_missing_document_is_named(tmp_path: Path) -> None:
    for read in (lambda path: read_json(path, "do"), lambda path: read_csv(path, [], "do")):
        with pytest.raises(GraftError, match="none is missing; do"):
            read(tmp_path / "none")


def test_a_value_is_shown_short() -> None:
    assert (
        shown("abc") == "'abc'" and len(shown("x" * 10_000)) == 80 and shown(16**5000) == "a value too long to be shown"
    )
