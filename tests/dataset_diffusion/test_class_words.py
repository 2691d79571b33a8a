"""Class words are found as people write them, and their tokens by their characters, never by counting words."""

from __future__ import annotations

import pytest
from transformers import CLIPTokenizer

from stages.parts.datasets.label_spaces import LABEL_SPACES, label_space
from stages.parts.errors import GraftError
from stages.parts.prompts.aliases import ALIASES, aliases_of, foreground, plural
from stages.parts.prompts.class_words import appended, mentioned, one_by_one, parsed, token_spans, without_tail
from tests.dataset_diffusion.pieces import CLIP_LIKE, tokenizer_of


@pytest.fixture(scope="module")
def clip() -> CLIPTokenizer:
    return tokenizer_of(CLIP_LIKE)


@pytest.mark.parametrize(
    ("classes", "spans"),
    [
        (["person", "laptop"], [(1,), (2,)]),
        (["person", "fire hydrant", "dog"], [(1,), (2, 3, 4), (5,)]),
        (["aeroplane", "person"], [(1, 2), (3,)]),
        (["surfboard", "person"], [(1, 2), (3,)]),
        (["tv monitor", "dining table", "chair"], [(1, 2), (3, 4), (5,)]),
        (["hot dog", "teddy bear", "hair drier", "dog"], [(1, 2), (3, 4), (5, 6), (7,)]),
        (["person", "person"], [(1,), (2,)]),
    ],
)
def test_every_class_has_its_own_tokens(clip: CLIPTokenizer, classes: list[str], spans: list[tuple[int, ...]]) -> None:
    assert token_spans(clip, classes) == spans


def test_ids_of_the_published_example() -> None:
    names = label_space("voc").names
    assert [names.index(name) for name in ("tv monitor", "dining table", "chair")] == [20, 11, 9]


def test_a_word_the_tokenizer_lacks_is_a_sentence(clip: CLIPTokenizer) -> None:
    with pytest.raises(GraftError, match="no token for the class word 'straße'"):
        token_spans(clip, ["person", "straße"])


def test_a_class_prompt_that_is_too_long_is_a_sentence() -> None:
    with pytest.raises(GraftError, match=r"longer than the 4 tokens .*'dog' lies behind them"):
        token_spans(tokenizer_of(CLIP_LIKE, longest=4), ["person", "car", "dog"])


@pytest.mark.parametrize(
    ("space", "caption", "classes"),
    [
        ("voc", "A man riding a horse", ["person", "horse"]),
        ("voc", "Two women and a BOY on a couch", ["person", "person", "sofa"]),
        ("voc", "a television on a desk", ["tv monitor", "dining table"]),
        ("voc", "an empty street at the train station", []),
        ("voc", "a train at the train station", ["train"]),
        ("voc", "a hot dog on a table", ["dining table"]),
        ("coco", "a hot dog on a table", ["hot dog", "dining table"]),
        ("coco", "People with teddy bears, knives and wine glasses", ["person", "teddy bear", "knife", "wine glass"]),
        ("coco", "a bear beside a fire hydrant", ["bear", "fire hydrant"]),
        ("coco", "buses,cars;and some sheep.", ["bus", "car", "sheep"]),
        ("small_voc", "a fire truck, a sedan and two walking people in the snow", ["truck", "car", "person"]),
        ("small_voc", "a passenger train and two passengers", ["train", "person"]),
        ("small_voc", "carpets and a trained bust", []),
    ],
)
def test_classes_are_mined_in_the_order_of_mention(space: str, caption: str, classes: list[str]) -> None:
    assert mentioned(caption, aliases_of(space)) == classes


@pytest.mark.parametrize("space", LABEL_SPACES)
def test_every_class_is_found_by_its_own_name_and_by_its_plural(space: str) -> None:
    aliases = aliases_of(space)
    for name in foreground(label_space(space)):
        assert mentioned(f"a {name} here", aliases) == [name]
        assert mentioned(f"two {plural(name)} here", aliases) == [name]


@pytest.mark.parametrize("space", ALIASES)
def test_aliases_are_of_classes_that_there_are(space: str) -> None:
    assert set(ALIASES[space]) <= set(label_space(space).names)


def test_a_published_class_prompt_is_read_back_and_an_unknown_word_ends_it() -> None:
    names = foreground(label_space("coco"))
    assert parsed("sink cup hot dog dog", names, "x") == ["sink", "cup", "hot dog", "dog"]
    with pytest.raises(GraftError, match=r"f.json record 3: the class prompt has 'unicorn'"):
        parsed("sink unicorn cup", names, "f.json record 3")


def test_a_long_caption_loses_its_end_and_never_its_class_words() -> None:
    words = tokenizer_of([*CLIP_LIKE, ["a"], ["view"]], longest=8)
    assert appended(words, "a dog", ["dog"]) == "a dog; dog"
    text = appended(words, "a view a view a view a view", ["dog", "car"])
    assert text == "a view a; dog car"
    assert len(words(text).input_ids) == 8
    assert appended(words, "x" * 50, ["dog"]) == "dog"


def test_appending_is_undone() -> None:
    assert without_tail("a man and a dog; person dog", "person dog") == "a man and a dog"
    assert without_tail("a man and a dog", "person dog") == "a man and a dog"


@pytest.mark.parametrize(
    ("caption", "space", "texts"),
    [
        (
            "two garbage trucks and a passenger train in the snow",
            "small_voc",
            [
                ("a photo of a garbage truck in the snow", "truck"),
                ("a photo of a passenger train in the snow", "train"),
            ],
        ),
        (
            "A dog, three small kittens and a  man on the sofa",
            "voc",
            [
                ("a photo of a dog", "dog"),
                ("a photo of a small kitten", "cat"),
                ("a photo of a man", "person"),
                ("a photo of a sofa", "sofa"),
            ],
        ),
        ("a train station at night", "small_voc", []),
        ("", "small_voc", []),
    ],
)
def test_each_object_of_a_caption_has_a_text_of_its_own(caption: str, space: str, texts: list[tuple[str, str]]) -> None:
    assert one_by_one(caption, aliases_of(space)) == texts
