"""What scoring and cleaning cost, beside the published way.

command  python -m tests.benchmarks.scoring
cost     a minute on one CPU core
says     milliseconds per 512 x 512 mask, smooth and ragged, of the published four scores (ours and as the published
         script computes them, vertex by vertex in Python) and of all scores that need no model; then the seconds that
         `clean` takes for a table of 12 000 rows with every rule on
"""

from __future__ import annotations

import argparse
import csv
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from stages.clean.__main__ import counts_of, keep_list
from stages.clean.rules import RULES, judge
from stages.clean.table import read
from stages.parts.masks import scores
from stages.parts.masks.contour import energy, largest_contour, smoothness
from stages.parts.masks.scores import phash
from stages.parts.store.atomic import write_csv
from stages.refine.__main__ import COLUMNS, cells
from tests.benchmarks.interleaved import interleaved, show
from tests.parts.masks.test_scores import published_contour, ragged

Mask = NDArray[np.bool_]
MASKS, ROUNDS, ROWS = 8, 7, 12_000


def published_four(mask: Mask) -> tuple[float, float, float, float]:
    """As ucg's script does it: OpenCV's contours, and a Python loop over the vertices for the turning angles."""
    height = mask.shape[0]
    area, lower = mask.mean(), mask[height // 2 :].sum() / mask.sum()
    contour = published_contour(mask)
    smooth = cv2.morphologyEx(mask.astype(np.uint8) * 255, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    smooth = cv2.morphologyEx(smooth, cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8))
    ratio = cv2.arcLength(contour, True) / cv2.arcLength(published_contour(smooth > 0), True)
    angles = []
    for i in range(len(contour)):
        first, second, third = (contour[(i + k) % len(contour)] for k in range(3))
        v1, v2 = second - first, third - second
        cosine = np.dot(v1, v2) / (np.linalg.norm(v1) * np.linalg.norm(v2))
        angles.append(np.arccos(np.clip(cosine, -1, 1)))
    return float(area), float(lower), ratio, float(np.abs(np.diff(angles)).sum())


def four(mask: Mask) -> tuple[float, float, float, float]:
    contour = largest_contour(mask)
    area = float(np.mean(mask, dtype=np.float64))
    return area, scores.lower_half(mask), smoothness(mask, contour), energy(contour)


def everything(mask: Mask, seed: Mask, attribution: NDArray[np.float32], image: NDArray[np.uint8]) -> dict[str, object]:
    """Every score that needs no model."""
    found: dict[str, object] = {**scores.shape(mask), **scores.attribution(mask, attribution)}
    found |= {"agreement": scores.agreement(mask, seed), "map_agreement": scores.agreement(mask, attribution > 0.6)}
    found |= {"stability": scores.stability(attribution), "phash": phash(image)}
    return found


def masks(sigma: float, amplitude: float) -> list[Mask]:
    return [ragged(sigma, amplitude, seed, side=512) for seed in range(MASKS)]


def main(argv: Sequence[str] | None = None) -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args(argv)
    cv2.setNumThreads(1)
    rng = np.random.default_rng(0)
    attribution = rng.random((512, 512)).astype(np.float32)
    image = rng.integers(0, 256, (512, 512, 3), dtype=np.uint8)
    for title, zoo in (("smooth", masks(16, 6)), ("ragged", masks(1.5, 3))):
        assert np.allclose([four(mask) for mask in zoo], [published_four(mask) for mask in zoo])
        vertices = np.mean([len(largest_contour(mask)) for mask in zoo])
        print(f"{title} masks, {vertices:.0f} vertices on average; ms for {MASKS} masks")
        ways = {
            "published four": lambda zoo=zoo: [published_four(mask) for mask in zoo],
            "ours, the same four": lambda zoo=zoo: [four(mask) for mask in zoo],
            "ours, all without a model": lambda zoo=zoo: [everything(mask, mask, attribution, image) for mask in zoo],
        }
        show(interleaved(ways, ROUNDS), "published four")
    cleaning(rng)


def cleaning(rng: np.random.Generator) -> None:
    columns = [column for column in COLUMNS if column not in ("uid", "reason", "phash")]
    values = rng.random((ROWS, len(columns)))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "scores.csv"
        with open(path, "w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(COLUMNS)
            for k, row in enumerate(values):
                one = dict(zip(columns, row.tolist(), strict=True)) | {"uid": f"bus-{k:06d}", "reason": ""}
                writer.writerow(cells(one | {"phash": f"{rng.integers(2**63):016x}"}))
        lenient = {"max_count": 11_000.0, "min_distance": 3.0, "keep_certain": 0.99, "area_tails": 0.001}
        limits = {rule.param: lenient.get(rule.param, 1e-4 if rule.param.startswith("min") else 1e4) for rule in RULES}
        wall, cpu = time.perf_counter(), time.process_time()
        verdicts = judge(read(path, [column for rule in RULES for column in rule.columns]), limits)
        write_csv(path.with_name("kept.csv"), ("uid", "kept", "reason"), keep_list(verdicts))
        counts_of(verdicts)
        print(
            f"clean, {ROWS} rows, every rule: {time.process_time() - cpu:.2f} s CPU, {time.perf_counter() - wall:.2f} s"
        )
        print(f"kept {verdicts.kept}")


if __name__ == "__main__":
    main()
