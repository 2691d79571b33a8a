"""Principal mask proposals: one region after the other, each about the cell nearest to the first principal component
of what is still free.

Hahn et al., TMLR 2024 (PriMaPs), section 3.1: (1) v, the first principal direction of the free cells; (2) the free cell
whose unit feature lies farthest along v is the seed; (3) the region is what has at least the cosine psi with the seed
and is free; (4) it is free no more; until 95 % of the cells are in a region.

`pca` says how v is found: "exact", or by so many subspace iterations. Both look at either end of v, for the sign of an
eigenvector is anyone's, and at free cells alone. "published" is the published code's arithmetic, for comparison: a
randomised PCA of a hundred iterations, the positive end of whatever sign its SVD returned, a maximum that may fall on a
cell that is taken, and no mask at all for a picture where no free cell is like that one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from stages.parts.masks.principal import cosines, flat_cells, unit_cells

Pca = Literal["exact", "published"] | int
RANK = 3  # directions that are iterated together: what is behind the first ones no longer slows them down
PUBLISHED_ITERATIONS = 100
BLOCK = 1 << 22  # bytes of features worked on together on a CPU: batching saves calls there, but not outside its cache


@dataclass(frozen=True)
class Proposals:
    """The regions of one picture in the order in which they were found. maps: (K, h, w) float32, the cosine with the
    seed inside of the region and 0 outside; no two overlap. seeds: (K, 2) int64, row and column."""

    maps: NDArray[np.float32]
    seeds: NDArray[np.int64]


def propose(
    features: Tensor, *, threshold: float, pca: Pca, centred: bool, coverage: float, most: int
) -> list[Proposals]:
    """The proposals of every picture of a batch.

    features: (B, C, h, w) float32, finite, any h and w; threshold: psi, in (0, 1]; centred: less each picture's mean;
    coverage: the share of the cells at which a picture is done; most: regions of one picture at most. A picture's
    regions do not depend on the others, nor on the scale of the features. Cells of length 0 are in no region: a
    picture of nothing else has none. An empty batch gives an empty list."""
    step = len(features) if features.is_cuda else max(1, BLOCK // max(1, 4 * features[:1].numel()))
    found: list[Proposals] = []
    for start in range(0, len(features), step):
        found += _propose(features[start : start + step], threshold, pca, centred, coverage, most)
    return found


def _propose(
    features: Tensor, threshold: float, pca: Pca, centred: bool, coverage: float, most: int
) -> list[Proposals]:
    height, width = features.shape[2:]
    cells = flat_cells(features, centred)
    unit = unit_cells(cells)
    free = unit.any(1)  # (B, N); a cell of length 0 never belongs to a region, and never keeps one waiting
    total = free.sum(1)
    maps: list[list[Tensor]] = [[] for _ in features]
    seeds: list[list[int]] = [[] for _ in features]
    rows = torch.arange(len(features), device=features.device)[total > 0]
    cells, unit, free, total = (each[total > 0] for each in (cells, unit, free, total))
    spread = None if pca == "published" else Spread(cells, free)
    while len(rows):
        along = cosines(unit, spread.principal(pca) if spread else _published_directions(cells, free))
        # Of the two ends of v that is taken whose nearest free cell is nearer; of equals the first in row-major order.
        seed = torch.where(free, along.abs(), -1.0).argmax(1) if spread else torch.where(free, along, 0.0).argmax(1)
        similarity = cosines(unit, unit.gather(2, seed[:, None, None].expand(-1, unit.shape[1], 1))[..., 0])
        if spread:
            region, lost = _region(similarity, free, seed, threshold), torch.zeros_like(rows, dtype=torch.bool)
            spread.remove(cells, region > 0)
        else:
            region, lost = _published_region(similarity, free, threshold)
        for k, row in enumerate(rows.tolist()):
            maps[row].append(region[k])
            seeds[row].append(int(seed[k]))
        for row in rows[lost].tolist():
            maps[row], seeds[row] = [], []
        free = free & ~(region > 0)
        full = torch.tensor([len(maps[row]) == most for row in rows.tolist()], device=rows.device)
        going = ~(lost | full | (free.sum(1) <= (1 - coverage) * total))
        if not going.all():
            rows, cells, unit, free, total = (each[going] for each in (rows, cells, unit, free, total))
            if spread:
                spread.keep(going)
    return [_proposals(maps[k], seeds[k], height, width) for k in range(len(features))]


def _region(similarity: Tensor, free: Tensor, seed: Tensor, threshold: float) -> Tensor:
    """What is free and like the seed: (B, N), the cosine inside of the region and 0 outside."""
    inside = free & (similarity >= threshold)
    inside.scatter_(1, seed[:, None], True)  # its cosine with itself may round to a little less than psi = 1
    return torch.where(inside, similarity, 0.0)


def _published_region(similarity: Tensor, free: Tensor, threshold: float) -> tuple[Tensor, Tensor]:
    """The same, and whether a picture is lost, (B,) bool: psi is a share of the largest cosine of a free cell, by which
    all are divided. That is 1 unless the seed is a taken cell; if it is 0 the published division gives NaN."""
    similarity = torch.where(free, similarity, 0.0)
    peak = similarity.amax(1, keepdim=True)
    kept = torch.where(similarity >= threshold * peak, similarity, 0.0)
    return torch.where(peak > 0, kept / peak, 0.0), peak[:, 0] <= 0


def _proposals(maps: list[Tensor], seeds: list[int], height: int, width: int) -> Proposals:
    stacked = torch.stack(maps).cpu().numpy() if maps else np.zeros((0, height * width), np.float32)
    places = np.stack(np.divmod(np.array(seeds, dtype=np.int64), width), axis=1)
    return Proposals(stacked.reshape(-1, height, width), places)


class Spread:
    """First and second moments of each picture's free cells, from which the cells of a region are taken away as it is
    found: a picture then costs as much as one covariance, however many regions it has."""

    def __init__(self, cells: Tensor, free: Tensor) -> None:
        """cells: (B, C, N); free: (B, N) bool."""
        self.origin = cells.mean(2)  # so that moments stay small: a covariance does not depend on where they are about
        self.count = cells.new_zeros(len(cells), dtype=torch.float64)
        self.first = cells.new_zeros(cells.shape[:2], dtype=torch.float64)
        self.second = cells.new_zeros(len(cells), *cells.shape[1:2] * 2, dtype=torch.float64)
        self._add(cells, free, 1.0)

    def remove(self, cells: Tensor, region: Tensor) -> None:
        """Take away the cells of (B, N) bool `region`, all of which must be in."""
        self._add(cells, region, -1.0)

    def _add(self, cells: Tensor, chosen: Tensor, sign: float) -> None:
        for k, which in enumerate(chosen):
            these = cells[k][:, which] - self.origin[k, :, None]
            self.count[k] += sign * these.shape[1]
            self.first[k] += sign * these.sum(1)
            self.second[k] += sign * (these @ these.T)

    def keep(self, going: Tensor) -> None:
        """Forget the pictures that are not `going`, (B,) bool."""
        self.origin, self.count, self.first, self.second = (
            each[going] for each in (self.origin, self.count, self.first, self.second)
        )

    def principal(self, pca: Pca) -> Tensor:
        """The first principal direction of every picture about the mean of its free cells: (B, C) float32 of length 1,
        the sign as it comes. Of one free cell any direction is one."""
        mean = self.first / self.count[:, None]
        covariance = self.second / self.count[:, None, None] - mean[:, :, None] * mean[:, None]
        return leading_eigenvectors(covariance.to(self.origin.dtype), pca)


def leading_eigenvectors(matrices: Tensor, pca: Pca) -> Tensor:
    """The eigenvector of the largest eigenvalue: (B, C, C) symmetric, not negative -> (B, C) of length 1.

    By subspace iteration (Halko et al. 2011, algorithm 4.4) it starts from the RANK columns with the largest diagonal
    entries: from the data, not from random numbers, so that the order of the channels changes nothing."""
    if pca == "exact":
        return torch.linalg.eigh(matrices)[1][:, :, -1]
    rank = min(RANK, matrices.shape[1])
    largest = matrices.diagonal(dim1=1, dim2=2).topk(rank, dim=1)[1]
    basis = matrices.gather(2, largest[:, None].expand(-1, matrices.shape[1], -1))
    for _ in range(int(pca)):
        basis = torch.bmm(matrices, torch.linalg.qr(basis)[0])
    basis = torch.linalg.qr(basis)[0]
    return torch.bmm(basis, torch.linalg.eigh(torch.bmm(basis.mT, torch.bmm(matrices, basis)))[1][:, :, -1:])[..., 0]


def _published_directions(cells: Tensor, free: Tensor) -> Tensor:
    """The published PCA of the free cells, from a seed of its own, so that the caller's random numbers stay as they
    are: (B, C, N) and (B, N) bool -> (B, C)."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        kept = [one[:, which].T for one, which in zip(cells, free, strict=True)]
        return torch.stack(
            [torch.pca_lowrank(one, q=min(RANK, *one.shape), niter=PUBLISHED_ITERATIONS)[2][:, 0] for one in kept]
        )
