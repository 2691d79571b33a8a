"""A line that has come to `clean`: two classes of tiny samples, some of them kept."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from ruamel.yaml import YAML

from stages.parts.store.samples import Sample, build, png_bytes

ROOT = Path(__file__).parents[2]
PROMPTS = {"train-000000": "a tram", "train-000002": "a train, color", "train-000010": "a railcar"}
KEPT = {"train": ["train-000000", "train-000002", "train-000010"], "bus": ["bus-000001"]}


def sample(seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (24, 40, 3), np.uint8), rng.random((24, 40)) < 0.4


@pytest.fixture
def repo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """As the current directory."""
    monkeypatch.chdir(tmp_path)
    yaml = YAML()
    params = yaml.load((ROOT / "params.yaml").read_text())
    params["classes"] = ["train", "bus"]
    yaml.dump(params, tmp_path / "params.yaml")
    shutil.copytree(ROOT / "data/prompts", tmp_path / "data/prompts")
    for name, kept in KEPT.items():
        uids = [f"{name}-{k:06d}" for k in (0, 1, 2, 10)]

        def refined(missing: list[str]) -> list[Sample]:
            made = []
            for uid in missing:
                image, mask = sample(int(uid[-6:]))
                files = {"image.png": png_bytes(image), "mask.png": png_bytes(mask.astype(np.uint8) * 255)}
                made.append(Sample(uid, "k", {}, files))
            return made

        def generated(missing: list[str]) -> list[Sample]:
            return [Sample(uid, "k", {"prompt": PROMPTS.get(uid, "other")}, {"image.png": b"-"}) for uid in missing]

        build(f"data/refined/{name}", dict.fromkeys(uids, "k"), refined, title="refine")
        if name == "train":
            build(f"data/generated/{name}", dict.fromkeys(uids, "k"), generated, title="generate")
        Path("data/cleaned").mkdir(exist_ok=True)
        rows = "".join(f"{uid},{int(uid in kept)},\n" for uid in uids)
        Path(f"data/cleaned/{name}.csv").write_text("uid,kept,reason\n" + rows)
    return tmp_path


def point(name: str, **content: str) -> None:
    """params.yaml and the pointer that take published cutouts in."""
    yaml, folder = YAML(), Path("data/mine")
    folder.mkdir(parents=True, exist_ok=True)
    yaml.dump(content, folder / f"{name}.yaml")
    params = yaml.load(Path("params.yaml"))
    params["generate"]["source"] = "data/mine"
    yaml.dump(params, Path("params.yaml"))
