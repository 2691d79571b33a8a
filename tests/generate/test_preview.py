from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ruamel.yaml import YAML

from stages.generate.__main__ import main
from stages.generate.preview import overlay
from stages.parts.store.pictures import npy_array, png_array


def test_a_preview_writes_image_maps_and_overlay_and_prints_the_tokens(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["preview", "--prompt", "a train at night", "--word", "train", "--seed", "3", "--out", "out"])
    maps = npy_array(Path("out/attribution.npy").read_bytes())
    assert (maps.shape, maps.dtype) == ((7, 64, 128), np.float32)  # start, a, photo, of, a, train, end
    np.testing.assert_allclose(maps.sum(0), maps.sum(0).mean(), rtol=1e-4)  # the invariant of OVAM
    assert png_array(Path("out/image.png").read_bytes()).shape == (64, 128, 3)
    assert png_array(Path("out/overlay.png").read_bytes()).shape == (64, 128, 3)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[1] for line in lines[:7]][5] == "train</w>"
    assert [number for number, line in enumerate(lines) if "class word" in line] == [5]


def test_a_preview_of_bad_words_is_one_sentence(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["preview", "--prompt", "a train", "--word", "train", "--attribution", "a photo", "--out", "out"])
    assert "--attribution must hold {word} once" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["preview", "--prompt", "a train", "--word", " ", "--out", "out"])
    assert "--word is empty" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["preview", "--prompt", "a train", "--word", "train"], ["optimise", "train"]])
def test_what_the_line_would_refuse_is_refused_here(
    project: Path, capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    yaml = YAML()
    params = yaml.load(Path("params.yaml"))
    params["generate"].update(branch="uncond", guidance=1.0)
    yaml.dump(params, Path("params.yaml"))
    with pytest.raises(SystemExit):
        main([*words, "--out", "out"])
    assert "generate.branch is uncond, but without guidance" in capsys.readouterr().err


def test_the_overlay_is_red_where_the_map_is_high() -> None:
    image = np.full((2, 2, 3), 100, np.uint8)
    shown = overlay(image, np.array([[0, 1], [2, 4]], np.float32))
    assert shown[0, 0].tolist() == [100, 100, 100]
    assert shown[1, 1].tolist() == [216, 61, 25]
    assert overlay(image, np.zeros((2, 2), np.float32)).tolist() == image.tolist()
