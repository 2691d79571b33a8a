"""The published settings, value by value against the papers' code, and the command that writes them."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from stages.parts.datasets.labels import CITYSCAPES
from stages.parts.sections import read
from stages.preflight import Params
from stages.train.methods import METHODS
from stages.train.preset import main
from stages.train.presets import EVALUATE, REACHES, TRAIN
from tests.test_params import comment, lines_of

ROOT = Path(__file__).parents[2]
DEFAULT = read(Params, ROOT / "params.yaml").train.method


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copy(ROOT / "params.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def written(name: str) -> Params:
    main([name])
    return read(Params)


def test_daformer_has_its_published_values():
    train = written("daformer").train
    assert (train.method, train.model, train.encoder) == ("daformer", "daformer-b5", "nvidia/mit-b5")
    assert (train.iterations, train.batch, train.crop, train.max_class_share) == (40_000, 2, [512, 512], 0.75)
    assert (train.source_size, train.target_size) == ([720, 1280], [512, 1024])
    assert train.lr == 6e-4 and train.lr * train.encoder_lr == pytest.approx(6e-5)
    assert (train.weight_decay, train.no_decay, train.warmup) == (0.01, "layer_norm", 1500)
    assert (train.ema, train.ema_at, train.teacher_norm) == (0.999, "start", "batch")
    assert (train.pseudo_threshold, train.quality_per, train.classes_of) == (0.968, "batch", "batch")
    assert (train.margin, train.margin_of) == ([15, 120, 0, 0], "crop")
    assert (train.jitter_probability, train.jitter, train.blur_probability) == (0.8, 0.2, 0.5)
    rare = train.rare_classes
    assert (rare.temperature, rare.min_pixels, rare.min_crop_ratio, rare.tries) == (0.01, 3000, 0.5, 10)
    assert rare.novel_budget is None
    distance = train.feature_distance
    assert (distance.weight, distance.min_ratio) == (0.005, 0.75)
    assert [CITYSCAPES.id(name) for name in distance.classes] == [6, 7, 11, 12, 13, 14, 15, 16, 17, 18]


def test_hrda_and_mic_differ_from_it_in_what_they_add():
    hrda = written("mic_hrda")
    train = hrda.train
    assert (train.crop, train.detail.size, train.detail.weight) == ([1024, 1024], [512, 512], 0.1)
    assert (train.source_size, train.target_size) == ([1440, 2560], [1024, 2048])
    assert (train.margin, train.margin_of, train.rare_classes.min_crop_ratio) == ([30, 240, 30, 30], "image", 2.0)
    assert (train.masking.weight, train.masking.ratio, train.masking.block) == (1.0, 0.7, 64)
    assert hrda.evaluate.batch == written("daformer").evaluate.batch == 1
    assert (hrda.evaluate.window, hrda.evaluate.stride) == ([1024, 1024], [512, 512])
    mic = written("mic").train
    assert (mic.crop, mic.masking.block) == ([512, 512], 32)
    assert written("dacs").train.ema == 0.99


def dotted(values: Mapping[str, Any], above: str) -> Iterator[str]:
    for key, value in values.items():
        yield from dotted(value, f"{above}{key}.") if isinstance(value, Mapping) else [above + key]


@pytest.mark.parametrize("name", sorted(TRAIN))
def test_every_preset_is_valid_and_keeps_the_comments(root: Path, name: str):
    before = lines_of((root / "params.yaml").read_text())
    assert written(name).train.method == (name if name in METHODS else DEFAULT)
    after = lines_of((root / "params.yaml").read_text())
    assert list(before) == list(after)
    named = {*dotted(TRAIN[name], "train."), *dotted(EVALUATE[name], "evaluate.")}
    for key, line in before.items():  # what is not named stays byte for byte, what is keeps its comment
        assert after[key] == line if key not in named else comment(after[key]) == comment(line)


@pytest.mark.parametrize("name", sorted(TRAIN))
def test_a_preset_that_is_written_again_changes_nothing(root: Path, name: str):
    main([name])
    once = (root / "params.yaml").read_text()
    main([name])
    assert (root / "params.yaml").read_text() == once


def test_ucg_changes_when_and_how_it_pastes_alone(root: Path):
    yaml = YAML(typ="safe", pure=True)
    before = yaml.load((root / "params.yaml").read_text())
    paste = written("ucg").train.paste
    after = yaml.load((root / "params.yaml").read_text())
    assert (paste.probability, paste.per, paste.scale, paste.place) == (0.05, "class", "native", "anywhere")
    assert (paste.edge, paste.ring, paste.flip, paste.colour, paste.protected) == ("hard", 0, 0.0, 0.0, [])
    assert after["train"]["rare_classes"].pop("novel_budget") == 0.0  # or rare class sampling would paste besides
    del before["train"]["rare_classes"]["novel_budget"], before["train"]["paste"], after["train"]["paste"]
    assert before == after


def test_every_preset_says_what_it_reaches_and_its_page_says_the_same() -> None:
    assert REACHES.keys() == TRAIN.keys()
    page = (ROOT / "docs/full_size.md").read_text()
    for name in ("daformer", "hrda", "mic_hrda"):
        (row,) = [line for line in page.splitlines() if line.startswith(f"| `{name}` |")]
        figure, run = (cell.strip() for cell in row.split("|")[2:4])
        assert REACHES[name].startswith(f"{figure} mIoU")
        assert all(word in REACHES[name] for word in re.findall(r"[0-9.]+ (?:hours|GB)(?=,)", run))
