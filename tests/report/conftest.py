"""A finished line of two recipes, two seeds and two novel classes, with 16 x 32 images: everything report reads."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from ruamel.yaml import YAML

from stages.parts.datasets.labels import CITYSCAPES
from stages.parts.measure.confusion import confusion, scores
from stages.parts.store.samples import Sample, build, png_bytes

ROOT = Path(__file__).parents[2]
ROAD, SKY, BUS, TRUCK = (CITYSCAPES.id(name) for name in ("road", "sky", "bus", "truck"))
NOVEL = ["truck", "bus"]


def store(folder: Path, samples: Mapping[str, Mapping[str, bytes]], rows: Mapping[str, dict] | None = None) -> None:
    made = [Sample(uid, "k", dict((rows or {}).get(uid, {})), dict(files)) for uid, files in samples.items()]
    build(folder, dict.fromkeys(samples, "k"), lambda uids: made, title=folder.name)


def truth(number: int) -> np.ndarray:
    """Sky above road; a bus in images 0 and 1, a truck in image 2, both bigger with the number; nothing in 3."""
    label = np.full((16, 32), SKY, np.uint8)
    label[8:] = ROAD
    if number < 3:
        label[4 : 9 + number, 4:16] = (BUS, BUS, TRUCK)[number]
    label[:, 31] = 255
    return label


def prediction(number: int, recipe: str, seed: int) -> np.ndarray:
    """grafted is right but for a column that grows with the seed; baseline takes vehicles for road."""
    label = truth(number)
    label[:, 31] = SKY
    if recipe == "baseline":
        label[np.isin(label, (BUS, TRUCK))] = ROAD
    label[:, : seed + 1] = ROAD
    return label


@pytest.fixture
def line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    params = YAML().load((ROOT / "params.yaml").read_text())
    params["classes"] = NOVEL
    params["recipes"], params["seeds"] = ["baseline", "grafted"], [0, 1]
    with open("params.yaml", "w") as file:
        YAML().dump(params, file)
    write_scenes()
    for name in NOVEL:
        write_candidates(name)
    for recipe in ("baseline", "grafted"):
        for seed in (0, 1):
            write_run(recipe, seed)
    return tmp_path


def write_scenes() -> None:
    images = {f"test-{k}": {"image.png": picture(k, 16, 32), "label.png": png_bytes(truth(k))} for k in range(4)}
    rows = {}
    for k in range(4):
        ids, counts = np.unique(truth(k), return_counts=True)
        rows[f"test-{k}"] = {"pixels": {str(i): int(n) for i, n in zip(ids, counts, strict=True)}}
    store(Path("data/scenes/test"), images, rows)
    sky_and_road = png_bytes(truth(3))
    source = {f"source-{k}": {"image.png": picture(50 + k, 16, 32), "label.png": sky_and_road} for k in range(4)}
    store(Path("data/scenes/source"), source)
    store(Path("data/scenes/target"), {f"target-{k}": {"image.png": picture(60 + k, 16, 32)} for k in range(3)})


def picture(seed: int, *size: int) -> bytes:
    return png_bytes(np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8))


def write_candidates(name: str) -> None:
    """Twelve samples; number 0 was rejected before it had a mask, 1 and 2 by the cleaner. The seed lies otherwise than
    the mask."""
    reasons = {0: "black", 1: "large", 2: "large"}
    mask = np.zeros((16, 16), np.uint8)
    mask[4:12, 2:14] = 255
    samples = {}
    for k in range(12):
        planes = {"mask.png": png_bytes(mask * (k > 0)), "seed.png": png_bytes(mask.T.copy() * (k > 0))}
        attribution = np.full((16, 16), 20 * k, np.uint8)
        samples[f"{name}-{k:06d}"] = {
            "image.png": picture(k, 16, 16),
            "attribution.png": png_bytes(attribution),
            **planes,
        }
    store(Path("data/refined") / name, samples)
    rows = {uid: {"prompt": f"a {name} number {k}"} for k, uid in enumerate(samples)}
    store(Path("data/generated") / name, {uid: {"image.png": samples[uid]["image.png"]} for uid in samples}, rows)
    Path("data/cleaned").mkdir(exist_ok=True)
    with open(f"data/cleaned/{name}.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["uid", "kept", "reason"])
        writer.writerows([uid, int(k not in reasons), reasons.get(k, "")] for k, uid in enumerate(samples))
    counts = {"samples": 12, "kept": 9, "rejected": {"large": 2, "low": 0, "black": 1}, "alone": {"large": 2, "low": 4}}
    Path(f"data/cleaned/{name}.json").write_text(json.dumps(counts))


def write_run(recipe: str, seed: int) -> None:
    """What was measured on test; on val all is wrong."""
    predicted = {f"test-{k}": {"prediction.png": png_bytes(prediction(k, recipe, seed))} for k in range(4)}
    store(Path(f"data/evaluated/{recipe}-{seed}/test"), predicted)
    maps = [(torch.from_numpy(truth(k)), torch.from_numpy(prediction(k, recipe, seed))) for k in range(4)]
    matrix = np.sum([confusion(*pair, 19).numpy() for pair in maps], axis=0)
    result: dict = {"recipe": recipe, "seed": seed, "classes": list(CITYSCAPES.names), "novel": NOVEL}
    wrong = np.roll(matrix, 1, axis=1)
    for split, counted in (("test", matrix), ("val", wrong)):
        result[split] = {"confusion": counted.tolist()} | scores(counted, CITYSCAPES.names, NOVEL)
    Path("data/trained").mkdir(parents=True, exist_ok=True)
    Path(f"data/evaluated/{recipe}-{seed}/scores.json").write_text(json.dumps(result))
    curve = "".join(f"{k},{1 / (k + 1):.6g},{seed}\n" for k in range(500))
    Path(f"data/trained/{recipe}-{seed}.csv").write_text("iter,loss,mix.quality\n" + curve)
