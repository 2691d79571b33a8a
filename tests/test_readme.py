"""README and the comments of params.yaml say what is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from stages.parts.world.backdrops import PLACES
from stages.parts.world.objects import SUBTYPES
from tests.test_params import comment, lines_of

ROOT = Path(__file__).parents[1]
README, PARAMS = (ROOT / "README.md").read_text(), (ROOT / "params.yaml").read_text()
REFERENCES = README.partition("## References")[2]
PUBLISHED = (
    r"published|diffusers' switch|as in crf|as UCG|LOG.md|UCG: |OVAM|DAFormer: |DACS: |HRDA: |MIC: |NCDSS: |UCG makes"
)


def tags(text: str) -> set[str]:
    return set(re.findall(r"\[([A-Z][A-Za-z ]+)\]", text))


def test_every_value_says_where_it_is_from() -> None:
    known = "|".join(re.escape(f"[{tag}") for tag in [*tags(REFERENCES), "ours]"])
    for key, line in lines_of(PARAMS).items():
        assert re.search(f"{known}|{PUBLISHED}", comment(line)), f"params.yaml: no source of {key}"


def test_every_tag_of_a_comment_is_explained_above_and_in_the_readme() -> None:
    legend = "\n".join(line for line in PARAMS.splitlines()[:8] if line.startswith("#"))
    used = set().union(*(tags(comment(line)) for line in lines_of(PARAMS).values()))
    assert used <= tags(legend) and used <= tags(REFERENCES)


@pytest.mark.parametrize("kind", SUBTYPES)
def test_the_readme_lists_the_words_that_the_small_model_knows(kind: str) -> None:
    known = README.partition("| class | subtypes |")[2].partition("Places:")[0]
    (line,) = [line for line in known.splitlines() if line.startswith(f"| {kind} |")]
    said = [word.strip() for word in line.split("|")[2].removesuffix(f"{kind} ").split(",")]
    assert [f"{word} {kind}" for word in said] == list(SUBTYPES[kind])


def test_the_readme_lists_the_places_that_the_small_model_knows() -> None:
    (line,) = [line for line in README.splitlines() if line.startswith("Places: ")]
    said = line.removeprefix("Places: ").rstrip(".")
    city, rest = said.split(";", 1)
    names = [f"in the {word.removeprefix('in the ').strip()}" for word in city.split(",")]
    assert sorted([*names, *(word.strip() for word in rest.split(";"))]) == sorted(PLACES)


@pytest.mark.parametrize("path", re.findall(r"`(data/[a-z/]+\.yaml|stages/[a-z_/]+\.py|LOG\.md)`", README))
def test_files_that_the_readme_names_are_there(path: str) -> None:
    assert (ROOT / path).exists()
