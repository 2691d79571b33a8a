"""A site that serves a record of two archives, with a fresh folder as the current one."""

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.fetch.server import Site, serve


def png(seed: int) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (32, 32, 3), np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def archive(root: str, count: int = 3, padding: int = 0) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as opened:
        for k in range(count):
            opened.writestr(f"{root}rgb/{k}.png", png(k))
            opened.writestr(f"{root}ss/{k}.png", png(k + 100))
        opened.writestr(f"{root}notes.bin", np.random.default_rng(9).bytes(padding))
    return buffer.getvalue()


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.chdir(tmp_path)
    files = {"dataset_trains.zip": archive("dataset_trains/"), "trucks.zip": archive("dataset_trucks/")}
    with serve(Site(files)) as running:
        yield running
