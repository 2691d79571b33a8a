"""`published` is the published code's arithmetic: what that code gave of two fixtures, value by value."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import median_filter

from stages.parts.masks.dense_crf import Kernels, dense_crf_labels
from stages.parts.masks.proposal_labels import SHARPNESS, proposal_labels, soft_labels, with_background
from stages.parts.masks.proposals import Proposals, _published_directions, leading_eigenvectors, propose
from stages.primaps.preset import PRESETS
from tests.primaps.fixtures import published_fixture, published_image

SETTINGS = {name: PRESETS["published"]["propose"][name] for name in ("threshold", "pca", "centred", "coverage", "most")}
CRF: Kernels = PRESETS["published"]["propose"]["crf"]
NO_CRF: Kernels = CRF | {"iterations": 0}
A, B = (16, 12), (24, 10)


def found(fixture: tuple[int, int], **other: object) -> Proposals:
    return propose(published_fixture(*fixture)[None], **(SETTINGS | other))[0]


def labels_of(fixture: tuple[int, int], image: np.ndarray, crf: Kernels) -> dict[int, int]:
    label = proposal_labels(image, found(fixture).maps, median=True, least=0, confidence=None, crf=crf)
    return dict(zip(*(each.tolist() for each in np.unique(label, return_counts=True)), strict=True))


@pytest.mark.parametrize(("fixture", "total", "norm"), [(A, 28.588558, 34.381367), (B, 49.3927, 35.31085)])
def test_the_fixtures_are_those_that_were_measured(fixture: tuple[int, int], total: float, norm: float) -> None:
    features = published_fixture(*fixture)
    assert features.sum().item() == pytest.approx(total, abs=1e-3)
    assert features.norm().item() == pytest.approx(norm, abs=1e-4)
    assert features[:3, 0, 0].tolist() == pytest.approx([0.800883, 1.041027, 0.784739], abs=1e-5)


@pytest.mark.parametrize(
    ("fixture", "seeds", "support", "sums"),
    [
        (A, [[10, 11], [2, 3], [3, 7]], [72, 9, 63], [69.4871, 8.6548, 60.7519]),
        (B, [[6, 5], [3, 3], [1, 1], [2, 5]], [50, 9, 4, 37], [47.7916, 8.7084, 2.5261, 35.5999]),
    ],
)
def test_seeds_supports_and_sums(
    fixture: tuple[int, int], seeds: list[list[int]], support: list[int], sums: list[float]
) -> None:
    proposals = found(fixture)
    assert proposals.seeds.tolist() == seeds
    assert (proposals.maps > 0).sum((1, 2)).tolist() == support
    assert proposals.maps.sum((1, 2)).tolist() == pytest.approx(sums, abs=5e-4)


@pytest.mark.parametrize(
    ("fixture", "unassigned", "singular", "first"),
    [
        (A, [144, 72, 63], [25.0365, 11.5265, 1.4877], [-0.08587, -0.42717, -0.37033]),
        (B, [100, 50, 41, 37], [24.3946, 13.6453, 1.4984, 1.4252], [-0.06671, -0.35287, -0.31362]),
    ],
)
def test_what_each_pca_sees_and_gives(
    fixture: tuple[int, int], unassigned: list[int], singular: list[float], first: list[float]
) -> None:
    cells = published_fixture(*fixture).flatten(1)
    maps = torch.from_numpy(found(fixture).maps).flatten(1)
    free = torch.ones(cells.shape[1], dtype=torch.bool)
    for k, (count, value) in enumerate(zip(unassigned, singular, strict=True)):
        assert int(free.sum()) == count
        centred = cells[:, free] - cells[:, free].mean(1, keepdim=True)
        direction = _published_directions(cells[None], free[None])[0]
        exact = leading_eigenvectors((centred @ centred.T)[None], "exact")[0]
        assert (centred.T @ direction).norm().item() == pytest.approx(value, abs=2e-4)
        assert abs(float(direction @ exact)) > 0.9999
        if k == 0:
            assert direction[:3].tolist() == pytest.approx(first, abs=1e-4)
        free &= maps[k] == 0


@pytest.mark.parametrize(
    ("fixture", "support", "background", "low"), [(A, [72, 7, 65], 0, -1.743668), (B, [50, 7, 0, 35], 8, -1.904832)]
)
def test_median_background_and_log_probabilities(
    fixture: tuple[int, int], support: list[int], background: int, low: float
) -> None:
    """A region that the median erases keeps its channel, and its number."""
    maps = median_filter(found(fixture).maps, size=(1, 3, 3), mode="mirror")
    assert (maps > 0).sum((1, 2)).tolist() == support
    assert with_background(maps)[0].sum() == background
    logs = np.log(soft_labels(maps, maps.shape[1:], None))
    assert np.unique(logs.round(4)).tolist() == pytest.approx([low, low + 1], abs=1e-4)


@pytest.mark.parametrize(
    ("fixture", "ids"), [(A, {1: 72, 2: 7, 3: 65}), (B, {1: 50, 2: 7, 4: 35, 255: 8})], ids=["A", "B"]
)
def test_ids_without_crf(fixture: tuple[int, int], ids: dict[int, int]) -> None:
    assert labels_of(fixture, np.zeros((fixture[1], fixture[1], 3), np.uint8), NO_CRF) == ids


@pytest.mark.parametrize(
    ("fixture", "ids"),
    [(A, {1: 4859, 2: 371, 3: 3986}), (B, {1: 3200, 2: 477, 4: 2235, 255: 488})],
    ids=["A", "B"],
)
def test_ids_with_the_published_crf(fixture: tuple[int, int], ids: dict[int, int]) -> None:
    """Within 0.5 % of the pixels: compilers round the CRF's filters differently."""
    side = 8 * fixture[1]
    given = labels_of(fixture, published_image(side), CRF)
    assert given.keys() == ids.keys()
    assert all(abs(given[one] - ids[one]) <= 0.005 * side * side for one in ids)


def test_the_crf_alone() -> None:
    coarse = torch.zeros(4, 4)
    coarse[1:3, 1:3] = 1
    logits = torch.log_softmax(torch.stack([1 - coarse, coarse])[None], dim=1)
    fine = torch.nn.functional.interpolate(logits, (32, 32), mode="bilinear", align_corners=False)
    marginals = dense_crf_labels(published_image(32), fine.softmax(1)[0].numpy(), CRF)
    assert int((marginals.argmax(0) == 1).sum()) == pytest.approx(221, abs=5)
    assert marginals[1, 16, 16] == pytest.approx(0.999665, abs=2e-4)
    assert marginals[1, [0, 8], [0, 8]] == pytest.approx([0.000511, 0.000565], abs=1e-4)
    assert marginals[1].mean() == pytest.approx(0.215856, abs=0.003)


def test_the_median_is_over_nine_values_and_reflects_the_edges() -> None:
    ramp = np.arange(16, dtype=np.float32).reshape(1, 4, 4)
    expected = [4, 4, 5, 6, 5, 5, 6, 6, 9, 9, 10, 10, 9, 10, 11, 11]
    assert median_filter(ramp, size=(1, 3, 3), mode="mirror").ravel().tolist() == expected
    assert SHARPNESS * SETTINGS["threshold"] >= 1, "so every cosine that is kept becomes 1"


@pytest.mark.parametrize(
    ("fixture", "seeds", "support"),
    [(A, [(10, 11), (3, 7), (2, 1)], {72, 63, 9}), (B, [(6, 5), (1, 0), (3, 2)], {50, 41, 9})],
)
def test_our_search_finds_the_same_regions_with_a_sign_rule_of_its_own(
    fixture: tuple[int, int], seeds: list[tuple[int, int]], support: set[int]
) -> None:
    """A float64 eigenvector's seeds, but for which end of it comes first, hence which cell of a region is the seed."""
    for pca in ("exact", 4):
        proposals = found(fixture, pca=pca)
        assert set((proposals.maps > 0).sum((1, 2)).tolist()) == support
        owners = [int(proposals.maps[:, row, column].argmax()) for row, column in seeds]
        assert sorted(owners) == [0, 1, 2]


def test_the_published_arithmetic_can_lose_a_picture_and_ours_cannot() -> None:
    """Two orthogonal regions whose cells differ in length alone: of the second all cells lie at one end of their
    principal direction. If the SVD's sign is the other, the maximum falls on a taken cell, to which no free one is
    like."""
    lost = 0
    for seed in range(12):
        rng = np.random.default_rng(seed)
        first, second = np.linalg.qr(rng.standard_normal((6, 6)))[0][:2]
        cells = np.concatenate([rng.uniform(1, 2, (25, 1)) * first, rng.uniform(1, 2, (24, 1)) * second])
        features = torch.from_numpy(cells.T.reshape(1, 6, 7, 7).astype(np.float32))
        lost += len(propose(features, **SETTINGS)[0].maps) == 0
        assert len(propose(features, **(SETTINGS | {"pca": "exact"}))[0].maps) == 2
    assert lost > 0
