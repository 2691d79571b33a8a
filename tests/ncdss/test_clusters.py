"""Clusters of regions, compared as partitions from explicit centres, and their names."""

from __future__ import annotations

import numpy as np
import pytest

from stages.parts.discovery.clusters import in_order, kmeans, names_of, partition, principal_axes, purity
from stages.parts.errors import GraftError

POINTS = np.array([[0.0, 0], [0, 1], [10, 0], [10, 1], [0, 10], [1, 10]])


def blobs(count: int = 60, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    owner = rng.integers(0, 3, count)
    return np.array([[0.0, 0], [8, 0], [0, 8]])[owner] + rng.normal(0, 0.5, (count, 2)), owner


def same(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether two partitions are equal, whatever their clusters are called."""
    return np.array_equal(in_order(one), in_order(other))


def test_from_explicit_centres_the_partition_and_its_inertia_are_by_hand() -> None:
    owner, inertia = partition(POINTS, np.array([[0.0, 0], [10, 0], [0, 10]]))
    assert owner.tolist() == [0, 0, 1, 1, 2, 2]
    assert inertia == pytest.approx(6 * 0.25)


def test_k_means_finds_blobs_whatever_the_seed_and_the_order() -> None:
    points, owner = blobs()
    order = np.random.default_rng(1).permutation(len(points))
    for seed in range(3):
        assert same(kmeans(points, 3, seed, 5), owner)
        assert same(kmeans(points[order], 3, seed, 5), owner[order])


def test_the_same_seed_gives_the_same_clusters_numbered_by_their_first_point() -> None:
    points, _ = blobs()
    first = kmeans(points, 4, 7, 3)
    assert np.array_equal(first, kmeans(points, 4, 7, 3))
    assert first[0] == 0 and sorted(np.unique(first, return_index=True)[1]) == list(
        np.unique(first, return_index=True)[1]
    )


def test_fewer_regions_than_clusters_or_dimensions_are_one_sentence() -> None:
    with pytest.raises(GraftError, match=r"asks for 9 clusters, but there are 6 regions; lower it"):
        kmeans(POINTS, 9, 0, 1)
    with pytest.raises(GraftError, match=r"dimensions is 7, but there are 6 regions of 2 channels; lower it"):
        principal_axes(POINTS.astype(np.float32), 7, False)


def test_principal_axes_are_numpys_and_whitening_makes_unit_variance() -> None:
    rng = np.random.default_rng(0)
    features = (rng.normal(size=(50, 6)) * [5, 3, 2, 1, 0.5, 0.1]).astype(np.float32)
    plain, white = (principal_axes(features, 3, whiten)(features) for whiten in (False, True))
    singular = np.linalg.svd(features - features.mean(0), compute_uv=False)
    assert plain.var(axis=0, ddof=1) == pytest.approx(singular[:3] ** 2 / 49, rel=1e-4)
    assert np.cov(white.T) == pytest.approx(np.eye(3), abs=1e-5)


def test_a_cluster_is_called_by_the_nearest_mean_of_the_cutouts() -> None:
    owner = np.array([0, 0, 1, 1, 2, 2])
    known = np.array([[0.0, 1], [0.5, 0], [9, 1], [11, 0]])
    assert names_of(owner, POINTS, known, ["bus", "bus", "truck", "truck"]) == ["bus", "truck", "bus"]
    with pytest.raises(GraftError, match="no cutout to name clusters by"):
        names_of(owner, POINTS, known[:0], [])


def test_purity_is_the_share_of_the_most_frequent_class() -> None:
    whole, each = purity(np.array([0, 0, 0, 1]), np.array([2, 2, 1, 0]))
    assert whole == 0.75 and each == [pytest.approx(2 / 3), 1.0]
    assert np.isnan(purity(np.zeros(0, np.int64), np.zeros(0, np.int64))[0])
