from __future__ import annotations

from pathlib import Path

import pytest

from stages.generate import sources
from stages.generate.sources import Source
from stages.parts.errors import GraftError


def source(folder: Path, text: str, name: str = "train") -> Source:
    (folder / f"{name}.yaml").write_text(text)
    return sources.read(str(folder), name)


def test_class_words_are_appended_and_recorded_alone(tmp_path: Path) -> None:
    (tmp_path / "captions.csv").write_text(
        'caption,classes\n"a man waits, alone",person;train\na dog,dog\nred trains meet,train\n'
    )
    made = source(tmp_path, "captions: captions.csv\nnegative: blurry")
    first, second = made.draw(0), made.draw(1)
    assert (first.prompt, first.attribution_text) == ("a man waits, alone; person train", "person train")
    assert first.attribution_text[slice(*first.word)] == first.prompt[slice(*first.subject)] == "train"
    assert (second.prompt, second.word, made.negative) == ("red trains meet; train", (0, 5), "blurry")
    assert made.draw(2) == first  # in turn


def test_a_class_word_inside_another_is_not_mistaken_for_it(tmp_path: Path) -> None:
    (tmp_path / "c.csv").write_text("caption,classes\na station,train station;train\n")
    prompt = source(tmp_path, "captions: c.csv").draw(0)
    assert prompt.word == (len("train station "), len("train station train"))


def test_a_text_file_and_a_list_give_the_class_alone(tmp_path: Path) -> None:
    (tmp_path / "captions.txt").write_text("at dusk\n\nin the rain\n")
    from_file = source(tmp_path, "captions: captions.txt\nword: tram")
    from_list = source(tmp_path, "captions: [at dusk, in the rain]\nword: tram")
    assert [from_file.draw(k).prompt for k in range(3)] == ["at dusk; tram", "in the rain; tram", "at dusk; tram"]
    assert [from_file.draw(k) for k in range(3)] == [from_list.draw(k) for k in range(3)]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("captions: []", "captions must be a list with at least one entry"),
        ("captions: none.txt", "none.txt: no such file; correct the key captions"),
        ("captions: empty.txt", "captions gives no caption for 'train'"),
        ("captions: other.csv", "other.csv has no column caption"),
        ("captions: dogs.csv", "captions gives no caption for 'train'"),
        ("captions: [a]\nplaces: [b]", "unknown key places; the keys are captions, word, negative, embedding"),
        ("captions: [a]\nembedding: nothing.safetensors", "embedding names no file"),
    ],
)
def test_captions_that_cannot_be_used_are_one_sentence(tmp_path: Path, text: str, sentence: str) -> None:
    (tmp_path / "empty.txt").write_text("\n")
    (tmp_path / "other.csv").write_text("text\na train\n")
    (tmp_path / "dogs.csv").write_text("caption,classes\na dog,dog\n")
    with pytest.raises(GraftError, match=sentence) as error:
        source(tmp_path, text)
    assert "\n" not in str(error.value)


def test_the_mark_that_excel_puts_before_a_table_is_no_letter_of_it(tmp_path: Path) -> None:
    (tmp_path / "captions.csv").write_text("caption,classes\nred trains meet,train\n", encoding="utf-8-sig")
    (tmp_path / "captions.txt").write_text("at dusk\n", encoding="utf-8-sig")
    assert source(tmp_path, "captions: captions.csv").draw(0).prompt == "red trains meet; train"
    assert source(tmp_path, "captions: captions.txt").draw(0).prompt == "at dusk; train"
