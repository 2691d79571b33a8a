"""Runs of the whole stage in processes of their own: killed, spread over workers, on a full disk, there and back."""

from __future__ import annotations

import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stages.generate.__main__ import main
from stages.parts.store.samples import Shards, npy_array, png_array
from tests.generate.conftest import content, write

ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}


def start(folder: Path, **options: Any) -> subprocess.Popen[str]:
    root = str(Path(__file__).parents[2])
    command = [sys.executable, "-m", "stages.generate", "train"]
    environment = ENVIRONMENT | {"PYTHONPATH": root}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, cwd=folder, env=environment, **pipes, **options)  # type: ignore[call-overload]


def finish(folder: Path, **options: Any) -> str:
    process = start(folder, **options)
    out, errors = process.communicate()
    assert process.returncode == 0, errors
    return out


def test_count_seed_and_guidance_there_and_back(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Only what differs is computed, and the outputs of the first setting come back byte-equal."""
    folder = Path("data/generated/train")
    main(["train"])
    first = content(folder)
    for change, back, there, again in (
        ({"count": 6}, {"count": 3}, "kept 3, made 3", "kept 3, made 0"),
        ({"count": 1}, {"count": 3}, "kept 1, made 0", "kept 1, made 2"),
        ({"seed": 1}, {"seed": 0}, "kept 2, made 1", "kept 2, made 1"),
        ({"guidance": 4.0}, {"guidance": 5.0}, "kept 0, made 3", "kept 0, made 3"),
    ):
        capsys.readouterr()
        write(**change)
        main(["train"])
        assert there in capsys.readouterr().out
        write(**back)
        main(["train"])
        assert again in capsys.readouterr().out
        assert content(folder) == first


def test_batches_of_1_3_and_8_draw_the_same_sample(project: Path) -> None:
    """uid, prompt and noise exactly. The image to one level of 255, the map to 1e-3: sums of other batch shapes
    round apart by some units of the last place, and this model has few steps to amplify them."""
    found = []
    for batch in (1, 3, 8):
        write(count=5, batch=batch)
        main(["train"])
        shards = Shards("data/generated/train")
        found.append([(row["uid"], row["seed"], row["prompt"], shards.read(row["uid"])) for row in shards.rows])
    for other in found[1:]:
        for (*one, files), (*two, changed) in zip(found[0], other, strict=True):
            assert one == two
            images = [png_array(each["image.png"]).astype(int) for each in (files, changed)]
            assert np.abs(images[0] - images[1]).max() <= 1
            maps = [npy_array(each["attribution.npy"]) for each in (files, changed)]
            np.testing.assert_allclose(maps[0], maps[1], rtol=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize(
    "engine", [{"workers": 2}, {"workers": 1, "address": "local"}, {"workers": 2, "address": "local"}]
)
def test_processes_and_ray_give_the_bytes_of_one_worker(project: Path, engine: dict[str, Any]) -> None:
    write(count=10)
    finish(project)
    alone = content(project / "data/generated/train")
    shutil.rmtree(project / "data/generated")
    write("engine", **engine)
    finish(project)
    assert content(project / "data/generated/train") == alone


@pytest.mark.slow
def test_ten_kills_at_random_moments_of_forty_samples(project: Path) -> None:
    """At one thread each time: another number of threads is another rounding."""
    write(count=40, steps=3)
    finish(project)
    folder, moments = project / "data/generated/train", random.Random(0)
    undisturbed = content(folder)
    shutil.rmtree(folder)
    kept = 0
    for _ in range(10):
        process = start(project)
        while process.poll() is None and len(list(folder.glob(".partial/*.tar"))) < kept:
            time.sleep(0.02)  # until it is about where the last one was killed
        time.sleep(moments.uniform(0.0, 8.0))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        whole = len(list(folder.glob(".partial/*.tar")))
        assert whole >= kept or (folder / "index.jsonl").exists()
        kept = whole
    said = finish(project)
    assert f"kept {kept}, made {40 - kept}" in said or "kept 40, made 0" in said
    assert content(folder) == undisturbed


@pytest.mark.slow
def test_a_full_disk_is_a_sentence_and_the_shards_stay_valid(project: Path) -> None:
    """A limit on the size of a file stands in for the end of the disk: the shard of 40 samples does not fit."""
    finish(project)
    before = content(project / "data/generated/train")
    write(count=40)
    limit = 300_000
    process = start(project, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)))
    errors = process.communicate()[1]
    assert process.returncode == 2
    assert "no space left on the disk or over quota" in errors.splitlines()[-1]
    assert len(list(Shards(project / "data/generated/train"))) == 3
    assert before.items() <= content(project / "data/generated/train").items()
    assert "kept 40, made 0" in finish(project)
