"""Principal mask proposals per second: ours against the published arithmetic, and a batch against one by one.

command  python -m tests.benchmarks.primaps_speed
cost     two minutes on one core
says     CPU seconds per picture on 384 x 40 x 40 features of 8 regions, one thread; whether each step's direction and
         seed are the published PCA's (torch.pca_lowrank, niter 100), the sign aside; a batch of 32 on three grids
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from stages.parts.masks.principal import cosines, flat_cells, unit_cells
from stages.parts.masks.proposals import Pca, Proposals, _published_directions, propose

SETTINGS: dict[str, Any] = {"threshold": 0.4, "centred": False, "coverage": 0.95, "most": 64}


def regions(count: int, channels: int, side: int, regions: int = 8) -> Tensor:
    """Voronoi pictures: (count, C, side, side). The places of the regions are drawn anew for each."""
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[:side, :side]
    found = []
    for _ in range(count):
        places = rng.uniform(0, side, (regions, 2))
        nearest = ((rows[..., None] - places[:, 0]) ** 2 + (columns[..., None] - places[:, 1]) ** 2).argmin(2)
        centres = rng.standard_normal((regions, channels))
        found.append((centres[nearest] + 0.5 * rng.standard_normal((side, side, channels))).transpose(2, 0, 1))
    return torch.from_numpy(np.stack(found).astype(np.float32))


def seconds(work: Callable[[], object], rounds: int) -> float:
    """The least CPU time of so many runs."""
    times = []
    for _ in range(rounds):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return min(times)


def one_by_one(features: Tensor, pca: Pca) -> list[Proposals]:
    return [propose(features[k : k + 1], pca=pca, **SETTINGS)[0] for k in range(len(features))]


def agreement(features: Tensor, found: Proposals) -> tuple[int, int, float]:
    """Steps; steps at which the published PCA of the cells that are free then has our seed at one of its ends; the
    least |cos| of its direction with the exact one."""
    cells = flat_cells(features, centred=False)
    unit, free = unit_cells(cells), torch.ones(1, cells.shape[2], dtype=torch.bool)
    same, least = 0, 1.0
    for mask, (row, column) in zip(found.maps, found.seeds, strict=True):
        direction = _published_directions(cells, free)
        kept = cells[0][:, free[0]]
        exact = torch.linalg.eigh(torch.cov(kept.double()))[1][:, -1].float()
        least = min(least, abs(float(direction[0] @ exact)))
        along = torch.where(free, cosines(unit, direction).abs(), -1.0)
        same += int(along.argmax()) == row * features.shape[3] + column
        free &= torch.from_numpy(mask).flatten()[None] == 0
    return len(found.maps), same, least


def main(argv: Sequence[str] | None = None) -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args(argv)
    torch.set_num_threads(1)
    few = regions(4, 384, 40)
    published = seconds(lambda: one_by_one(few, "published"), 2) / len(few)
    print(f"published arithmetic     {1000 * published:8.1f} ms a picture")
    for pca in ("exact", 4, 16, 48, 100):
        own = seconds(lambda pca=pca: one_by_one(few, pca), 3) / len(few)  # type: ignore[misc]
        steps = np.array([agreement(few[k : k + 1], one)[:2] for k, one in enumerate(one_by_one(few, pca))]).sum(axis=0)
        print(f"pca {pca!s:20} {1000 * own:8.1f} ms a picture, {published / own:5.1f} times as fast; "
              f"{steps[1]} of {steps[0]} seeds are the published PCA's")  # fmt: skip
    print("a batch of 32, and one by one, ms a picture:")
    for channels, side in ((384, 40), (128, 32), (64, 8)):
        many = regions(32, channels, side)
        together = seconds(lambda many=many: propose(many, pca=4, **SETTINGS), 3) / 32  # type: ignore[misc]
        alone = seconds(lambda many=many: one_by_one(many, 4), 3) / 32  # type: ignore[misc]
        print(f"  {channels} x {side} x {side}: {1000 * together:.2f}, {1000 * alone:.2f}")


if __name__ == "__main__":
    main()
