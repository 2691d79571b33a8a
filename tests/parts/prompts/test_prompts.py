from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from transformers import CLIPTokenizer

from stages.parts.errors import GraftError
from stages.parts.prompts import grammar as grammars
from stages.parts.prompts.entries import table
from stages.parts.prompts.grammar import Grammar
from stages.parts.prompts.prompt import draw, word_tokens
from stages.parts.store.streams import sample_stream


def parse(text: str, file: str, name: str) -> Grammar:
    return grammars.parse(table(text, file), file, name)


GRAMMAR = """
subtypes: [passenger train, freight train]
places: [at night, at the train station]
template: "a photo of a {subtype} {place}{style}"
style: ", color"
"""


def test_a_prompt_is_a_function_of_its_class_and_seed_alone(grammar: Grammar) -> None:
    once = [draw(grammar, seed) for seed in range(50)]
    assert once == [draw(grammar, seed) for seed in reversed(range(50))][::-1]
    assert once != [draw(replace(grammar, name="bus"), seed) for seed in range(50)]


def test_streams_of_other_classes_seeds_and_purposes_differ() -> None:
    """Also where the parts run together: ("bus", 11) is not ("bus1", 1)."""
    names = [("bus", 11, "noise"), ("bus1", 1, "noise"), ("bus", 1, "noise"), ("bus", 11, "prompt")]
    assert len({sample_stream(*name) for name in names}) == len(names)


def test_the_streams_never_change() -> None:
    """Every published seed names an image; another formula would rename them all."""
    assert sample_stream("train", 0, "prompt") == 0xD111C208B2BE5A68
    assert sample_stream("train", 0, "noise") == 0x72BA2AD82F318428


def test_every_subtype_meets_every_place_equally_often(grammar: Grammar) -> None:
    drawn = Counter((prompt.subtype, prompt.place) for prompt in (draw(grammar, seed) for seed in range(6000)))
    assert len(drawn) == 6
    assert all(abs(count - 1000) < 150 for count in drawn.values())  # five standard deviations


def test_a_prompt_and_its_attribution_text_are_filled_from_the_same_parts(grammar: Grammar) -> None:
    for seed in range(20):
        prompt = draw(grammar, seed)
        assert prompt.prompt == f"a photo of a {prompt.subtype} {prompt.place}, color"
        assert prompt.attribution_text == f"train {prompt.place}, color"


def test_a_train_never_becomes_a_train_station(grammar: Grammar, tokenizer: CLIPTokenizer) -> None:
    """UCG cuts the prompt at the last "train ", so that "... at the train station" is read as a station."""
    grammar = replace(grammar, places=("at the train station",), attribution="{place} {word}{style}")
    prompt = draw(grammar, 0)
    assert prompt.attribution_text == "at the train station train, color"
    assert word_tokens(tokenizer, prompt) == (5,)  # start, at, the, train, station, TRAIN
    first = draw(replace(grammar, attribution="{word} {place}"), 0)
    assert (first.attribution_text, first.word) == ("train at the train station", (0, 5))
    assert word_tokens(tokenizer, first) == (1,)


def test_a_class_word_of_several_pieces_gives_all_of_them(grammar: Grammar, tokenizer: CLIPTokenizer) -> None:
    tram = draw(replace(grammar, word="tram", attribution="a {word} on"), 0)
    pieces = tokenizer.convert_ids_to_tokens(tokenizer(tram.attribution_text)["input_ids"])
    assert [pieces[i] for i in word_tokens(tokenizer, tram)] == ["tra", "m</w>"]
    two = draw(replace(grammar, word="box truck", attribution="a {word} on"), 0)
    assert word_tokens(tokenizer, two) == (2, 3)


def test_a_class_word_behind_the_encoders_end_is_an_error(grammar: Grammar, tokenizer: CLIPTokenizer) -> None:
    long = draw(replace(grammar, places=("a " * 40,), attribution="{place} {word}"), 0)
    with pytest.raises(GraftError, match=r"longer than the 32 tokens .* put it first in the key `attribution`"):
        word_tokens(tokenizer, long)


def test_a_grammar_fills_in_what_may_be_left_out() -> None:
    grammar = parse(GRAMMAR, "train.yaml", "train")
    assert (grammar.word, grammar.negative) == ("train", "")
    assert grammar.attribution == "a photo of a {word}"
    assert grammar.places == ("at night", "at the train station")


def test_a_grammar_is_read_by_yaml_1_2() -> None:
    """YAML 1.1 would read the place "no" as false."""
    assert parse(GRAMMAR.replace("at night", "no"), "train.yaml", "train").places[0] == "no"


@pytest.mark.parametrize("path", sorted(Path("data/prompts").rglob("*.yaml")), ids=str)
def test_a_shipped_grammar_is_valid(path: Path) -> None:
    grammar = parse(path.read_text(), str(path), path.stem)
    assert grammar.word in draw(grammar, 0).attribution_text


@pytest.mark.parametrize("name", ["train", "bus", "truck"])
def test_a_full_size_vocabulary_has_400_prompts_that_name_the_class(name: str) -> None:
    path = Path("data/prompts/full") / f"{name}.yaml"
    grammar = parse(path.read_text(), str(path), name)
    assert (len(set(grammar.subtypes)), len(set(grammar.places))) == (20, 20)
    assert all(subtype.endswith(f" {name}") for subtype in grammar.subtypes)


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        (GRAMMAR, "", "must be a table: a prompt grammar with the keys subtypes, places, template"),
        (GRAMMAR, "- a\n- b", "must be a table"),
        ("[at night, at the train station]", "[at night", "no valid YAML"),
        ('style: ", color"', "style: a\nstyle: b", "no valid YAML.*duplicate key"),
        ("places: [at night, at the train station]\n", "", "key places is missing; add it"),
        ("places:", "locations: [here]\nplaces:", "unknown key locations; the keys are subtypes"),
        ("[passenger train, freight train]", "[]", r"subtypes must be a list with at least one entry \(it is \[\]\)"),
        ("[passenger train, freight train]", "train", "subtypes must be a list .* 'train'"),
        ("freight train", "42", r"subtypes\[1\] must be text \(it is 42\); put it in quotes"),
        ("freight train", "''", r"subtypes\[1\] is empty"),
        ("{subtype}", "train", "template must hold {subtype} once"),
        ("{place}", "{subtype}", "template must hold {subtype} once"),
        ("{place}", "here", "template must hold {place} once"),
        ("{style}", "", "template must hold {style} once"),
        ("{place}", "{location}", "template may hold {subtype}, {place}, {style} alone"),
        ("{place}", "{place!r}", "template may hold"),
        ("{place}", "{place", "template .* has a brace too many or too few"),
        ("style:", "attribution: '{place}'\nstyle:", "attribution must hold {word} once"),
        ("style:", "attribution: '{word} {subtype}'\nstyle:", "attribution may hold {word}, {place}, {style}"),
        ("style:", "word: ' '\nstyle:", "word is empty"),
    ],
)
def test_a_bad_grammar_is_one_sentence_that_names_file_and_key(old: str, new: str, sentence: str) -> None:
    assert old in GRAMMAR
    with pytest.raises(GraftError, match=f"^train.yaml:? .*{sentence}") as error:
        parse(GRAMMAR.replace(old, new), "train.yaml", "train")
    assert "\n" not in str(error.value)
