"""Clusters of the regions' features [2.3.5], how pure they are, and what the cutouts call them.

A feature is one vector for a region, so nothing is held but (N, C) float32: 80 MB for 10 000 regions of 2 048 channels.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.vq import kmeans2

from stages.parts.errors import GraftError

Features = NDArray[np.float32]
ITERATIONS = 300  # of Lloyd's algorithm, at most


class Projection(NamedTuple):
    """mean (C,); axes (C, d), the principal directions, divided by the standard deviation along them if whitened."""

    mean: NDArray[np.float64]
    axes: NDArray[np.float64]

    def __call__(self, features: NDArray) -> NDArray[np.float64]:
        """(N, C) -> (N, d)."""
        return (features - self.mean) @ self.axes


def principal_axes(features: Features, dimensions: int, whiten: bool) -> Projection:
    """PCA by the (C, C) covariance, so that memory goes with C and not with N. Each axis points where its largest entry
    is positive, so that its sign is no chance. GraftError with fewer vectors than dimensions, as the published code."""
    count, channels = features.shape
    if count < dimensions or channels < dimensions:
        raise GraftError(
            f"params.yaml: ncdss.cluster.dimensions is {dimensions}, but there are {count} regions of {channels} "
            "channels; lower it, or loosen ncdss.regions"
        )
    mean = features.mean(axis=0, dtype=np.float64)
    centred = features - mean
    values, vectors = np.linalg.eigh(centred.T @ centred / max(count - 1, 1))
    values, axes = values[::-1][:dimensions], vectors[:, ::-1][:, :dimensions]
    axes = axes * np.where(axes[np.abs(axes).argmax(axis=0), np.arange(dimensions)] < 0, -1.0, 1.0)
    if whiten:
        axes = axes / np.sqrt(np.maximum(values, 1e-12))
    return Projection(mean, axes)


def partition(points: NDArray[np.float64], centres: NDArray[np.float64]) -> tuple[NDArray[np.int64], float]:
    """Lloyd's k-means from these (K, d) centres: the cluster of each of the (N, d) points, and the inertia, the sum of
    squared distances. It ends when nothing moves, or after 300 turns."""
    owner = np.full(len(points), -1)
    for _ in range(ITERATIONS):
        centres, new = kmeans2(points, centres, iter=1, minit="matrix", missing="warn")
        if np.array_equal(new, owner):
            break
        owner = new
    return owner.astype(np.int64), float(((points - centres[owner]) ** 2).sum())


def kmeans(points: NDArray[np.float64], clusters: int, seed: int, starts: int) -> NDArray[np.int64]:
    """The cluster of each of the (N, d) points, (N,) in 0 to K - 1: the partition of the lowest inertia of so many
    k-means++ starts, its clusters in the order of their first point. GraftError with fewer points than clusters."""
    if len(points) < clusters:
        raise GraftError(
            f"params.yaml: ncdss.cluster asks for {clusters} clusters, but there are {len(points)} regions; "
            "lower it, or loosen ncdss.regions"
        )
    rng = np.random.default_rng(seed)
    tries = [partition(points, spread_centres(points, clusters, rng)) for _ in range(starts)]
    owner, _ = min(tries, key=lambda each: each[1])
    return in_order(owner)


def spread_centres(points: NDArray[np.float64], clusters: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """k-means++ (Arthur and Vassilvitskii 2007): (K, d) points, each drawn by its squared distance from the others."""
    chosen = [points[rng.integers(len(points))]]
    nearest = ((points - chosen[0]) ** 2).sum(axis=1)
    while len(chosen) < clusters:
        total = nearest.sum()
        pick = rng.choice(len(points), p=nearest / total) if total > 0 else rng.integers(len(points))
        chosen.append(points[pick])
        nearest = np.minimum(nearest, ((points - points[pick]) ** 2).sum(axis=1))
    return np.stack(chosen)


def in_order(owner: NDArray[np.int64]) -> NDArray[np.int64]:
    """The same partition with its clusters numbered in the order of their first point."""
    _, first, inverse = np.unique(owner, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[inverse].astype(np.int64)


def names_of(
    owner: NDArray[np.int64], points: NDArray[np.float64], known: NDArray[np.float64], classes: Sequence[str]
) -> list[str]:
    """The bridge: each cluster is called by the class whose cutouts' mean point is nearest to the cluster's mean.

    owner (N,) and points (N, d) of the regions; known (M, d) and classes (M,) of the cutouts, in the same projection.
    Several clusters may have one name; a class that no cluster is nearest to names none. GraftError without cutouts."""
    if not len(classes):
        raise GraftError("there is no cutout to name clusters by; run `dvc repro`, which makes data/cutouts/grafted")
    wanted = sorted(set(classes))
    means = np.stack([known[np.array(classes) == name].mean(axis=0) for name in wanted])
    centres = np.stack([points[owner == k].mean(axis=0) for k in range(int(owner.max()) + 1)])
    distance = ((centres[:, None] - means[None]) ** 2).sum(axis=2)
    return [wanted[k] for k in distance.argmin(axis=1)]


def purity(owner: NDArray[np.int64], truth: NDArray[np.int64]) -> tuple[float, list[float]]:
    """Share of regions whose true class is the most frequent of their cluster, in all and of each cluster; NaN for
    none. truth (N,) >= 0."""
    counts = [np.bincount(truth[owner == k]) for k in range(int(owner.max(initial=-1)) + 1)]
    each = [float(count.max() / count.sum()) if count.sum() else float("nan") for count in counts]
    hits = sum(int(count.max()) for count in counts if count.size)
    return (hits / len(owner) if len(owner) else float("nan")), each
