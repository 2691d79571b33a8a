"""The presets, and the two commands that draw: show and discover."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stages.parts.drawing.sheets import spaced
from stages.parts.sections import read
from stages.parts.segmenter.files import save_segmenter
from stages.parts.segmenter.networks import build_segmenter
from stages.preflight import Params
from stages.primaps import discover, preset, propose, show
from stages.primaps.params import Params as Own
from tests.primaps.conftest import ROOT, change


def test_the_repos_own_values_are_those_of_small_and_published_is_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(ROOT / "params.yaml", tmp_path)
    before = (tmp_path / "params.yaml").read_text()
    preset.main(["small"])
    assert (tmp_path / "params.yaml").read_text() == before
    preset.main(["published"])
    told = read(Params).primaps.model_dump()
    for section, values in preset.PRESETS["published"].items():
        assert told[section] == values
    assert told["fit"]["views"] is None and told["propose"]["confidence"] is None
    preset.main(["small"])
    assert read(Params) == read(Params, ROOT / "params.yaml")


def test_a_preset_names_every_param_of_its_sections() -> None:
    own = read(Own, ROOT / "params.yaml").primaps.model_dump()
    for values in preset.PRESETS.values():
        for section, named in values.items():
            assert not isinstance(named, dict) or named.keys() == own[section].keys()


def test_show_draws_any_picture(world: Path) -> None:
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (50, 70, 4)).astype(np.uint8), "RGBA").save("odd.png")
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (33, 40)).astype(np.uint8)).save("grey.jpg")
    show.main(["odd.png", "grey.jpg", "--out", "drawn", "--threshold", "0.5"])
    assert {path.name for path in Path("drawn").iterdir()} == {"odd.png", "grey.png"}
    assert np.array(Image.open("drawn/odd.png")).std() > 10


def test_show_refuses_what_it_cannot_do_in_a_sentence(world: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("text.png").write_text("no picture")
    for argv, words in (
        (["text.png"], "text.png is no readable picture"),
        (["text.png", "--threshold", "7"], "the command line: primaps.propose.threshold: input should be less than"),
        (["text.png", "--backbone", "nowhere"], "'nowhere' is neither a folder here nor"),
    ):
        with pytest.raises(SystemExit):
            show.main(argv)
        assert words in capsys.readouterr().err


def test_discover_draws_what_a_segmenter_does_not_explain(world: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One of random weights explains nothing."""
    propose.main(["streets"])
    save_segmenter(build_segmenter("unet", 19), "random.safetensors", "unet", ["road", *"bcdefghijklmnopqrs"])
    for key, value in (("clip", str(ROOT / "models/miniature/clip")), ("clusters", 3), ("least", 20)):
        change(world, f"discover.{key}", value)
    discover.main(["streets", "--segmenter", "random.safetensors"])
    with open("data/discovered/streets.csv") as file:
        rows = list(csv.DictReader(file))
    excess = [float(row["excess"]) for row in rows]
    assert excess == sorted(excess, reverse=True) and {"truck", "bus", "train"} <= {row["word"] for row in rows}
    assert {row["known"] for row in rows} <= {"0", "1"}
    assert Image.open("data/discovered/streets.png").size[0] > 700
    assert "proposals are unexplained; excess of CLIP's votes: " in capsys.readouterr().out


def test_a_word_that_anything_gets_has_no_excess() -> None:
    """Two words, two proposals of 30 and 10 pixels: shares 0.25 and 0.75; what is explained says the same of one."""
    seen = [
        discover.Seen(uid, np.zeros((1, 1, 3), np.uint8), pixels, "unknown") for uid, pixels in (("a", 30), ("b", 10))
    ]
    share = discover.shares(np.array([[0.0, 1.0], [1.0, 0.0]]), seen)
    assert share.tolist() == [0.25, 0.75]
    assert discover.excess(share, np.array([0.25, 0.75])).tolist() == [0, 0]
    assert discover.excess(share, np.array([0.5, 0.5])) == pytest.approx([-(0.125**0.5), 0.125**0.5])
    assert discover.excess(np.array([0.0, 1.0]), np.array([0.0, 1.0])).tolist() == [0, 0]
    assert discover.shares(np.zeros((0, 4)), []).tolist() == [0.25] * 4
    assert [one.uid for one in spaced(seen, 1)] == ["a"] and spaced([], 3) == []


def test_doubt_by_hand() -> None:
    settings = read(Own, ROOT / "params.yaml").primaps.discover
    sure = np.zeros((4, 8))
    sure[0] = 1
    torn = np.zeros((4, 8))
    torn[0, :4] = torn[1, 4:] = 1
    assert discover.doubt(sure, settings) == ""
    assert discover.doubt(np.full((4, 8), 0.25), settings) == "unknown"
    loose = settings.model_copy(update={"entropy": 0.6})
    assert discover.doubt(torn, loose) == "contradicted", "each pixel is sure, of another class"
