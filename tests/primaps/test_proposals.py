"""What must hold of proposals of any features: no cell in two regions, the picture covered, nothing that is no number,
and no difference from scale, order or the other pictures of a batch."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from stages.parts.masks.dense_crf import Kernels
from stages.parts.masks.principal import cosines, flat_cells, unit_cells
from stages.parts.masks.proposal_labels import MOST, proposal_labels, soft_labels, with_background
from stages.parts.masks.proposals import BLOCK, Pca, Proposals, leading_eigenvectors, propose
from tests.primaps.fixtures import regions

OFF: Kernels = {
    "iterations": 0, "bilateral_weight": 4.0, "bilateral_xy": 13.0, "bilateral_rgb": 5.0, "gaussian_weight": 3.0,
    "gaussian_xy": 1.0,
}  # fmt: skip
PCAS: list[Pca] = ["exact", 4, "published"]
OURS: list[Pca] = ["exact", 4]


def found(
    features: Tensor, pca: Pca = "exact", threshold: float = 0.5, centred: bool = False, most: int = 64
) -> list[Proposals]:
    return propose(features, threshold=threshold, pca=pca, centred=centred, coverage=0.95, most=most)


def same(one: Proposals, other: Proposals) -> bool:
    return np.array_equal(one.seeds, other.seeds) and np.array_equal(one.maps > 0, other.maps > 0)


@pytest.mark.parametrize("pca", PCAS)
@pytest.mark.parametrize("seed", range(5))
def test_regions_are_disjoint_cover_the_picture_and_are_numbers(pca: Pca, seed: int) -> None:
    (one,) = found(regions(seed), pca)
    assert np.isfinite(one.maps).all()
    if pca == "published" and not len(one.maps):
        return  # a picture that the published arithmetic loses
    assert (one.maps > 0).sum(axis=0).max() == 1
    assert (one.maps > 0).any(axis=0).mean() >= 0.95
    assert len(one.maps) == len(one.seeds)


@pytest.mark.parametrize("pca", OURS)
@pytest.mark.parametrize("centred", [False, True])
def test_the_sign_of_the_features_is_no_matter(pca: Pca, centred: bool) -> None:
    """-f has the opposite principal direction: with one end alone half of all pictures would be other pictures."""
    for seed in range(5):
        assert same(found(regions(seed), pca, centred=centred)[0], found(-regions(seed), pca, centred=centred)[0])


@pytest.mark.parametrize("pca", OURS)
def test_a_seed_is_a_free_cell_of_its_own_region(pca: Pca) -> None:
    (one,) = found(regions(3), pca)
    taken = np.zeros(one.maps.shape[1:], bool)
    for mask, (row, column) in zip(one.maps, one.seeds, strict=True):
        assert not taken[row, column] and mask[row, column] == pytest.approx(1.0, abs=1e-5)
        taken |= mask > 0


@pytest.mark.parametrize("pca", OURS)
def test_scale_and_the_order_of_channels_change_nothing(pca: Pca) -> None:
    features = regions(4)
    order = torch.from_numpy(np.random.default_rng(0).permutation(features.shape[1]))
    assert same(found(features, pca)[0], found(8 * features, pca)[0])
    assert same(found(features, pca)[0], found(features[:, order], pca)[0])


@pytest.mark.parametrize("pca", OURS)
def test_the_mirror_image_has_the_mirrored_regions(pca: Pca) -> None:
    features = regions(5)
    plain, mirrored = found(features, pca)[0], found(features.flip(3), pca)[0]
    assert np.array_equal(plain.maps > 0, mirrored.maps[:, :, ::-1] > 0)
    assert np.array_equal(plain.seeds[:, 1], features.shape[3] - 1 - mirrored.seeds[:, 1])


@pytest.mark.parametrize("pca", PCAS)
def test_the_others_in_a_batch_and_the_size_of_its_blocks_change_nothing(
    pca: Pca, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = torch.cat([regions(seed, count=2 + seed) for seed in range(6)])
    alone = [found(batch[k : k + 1], pca)[0] for k in range(6)]
    assert all(map(same, found(batch, pca), alone))
    monkeypatch.setattr("stages.parts.masks.proposals.BLOCK", 1)
    assert all(map(same, found(batch, pca), alone))
    assert 4 * batch.numel() < BLOCK, "or the first of the two was in blocks too"
    assert found(batch[:0], pca) == []


@pytest.mark.parametrize("size", [(1, 1), (1, 2), (2, 2), (4, 4), (6, 6), (3, 11)])
@pytest.mark.parametrize("pca", PCAS)
def test_a_grid_of_few_cells_is_a_grid(size: tuple[int, int], pca: Pca) -> None:
    """The published code crashes below 49 cells."""
    (one,) = found(regions(0, size), pca)
    assert one.maps.shape[1:] == size and np.isfinite(one.maps).all()


@pytest.mark.parametrize("centred", [False, True])
def test_a_picture_of_one_colour(centred: bool) -> None:
    """One region; of features that are centred nothing is left, and no region."""
    (one,) = found(torch.full((1, 4, 8, 8), 2.0), centred=centred)
    assert len(one.maps) == (0 if centred else 1)
    assert proposal_labels(
        np.zeros((16, 16, 3), np.uint8), one.maps, median=False, least=0, confidence=0.6, crf=OFF
    ).min() == (255 if centred else 1)


def test_cells_without_contrast_are_in_no_region_and_hold_nothing_up() -> None:
    features = regions(1)
    features[..., :10] = 0
    (one,) = found(features)
    assert not one.maps[..., :10].any() and (one.maps[..., 10:] > 0).any(axis=0).mean() >= 0.95


def test_noise_is_cut_off_at_most() -> None:
    noise = torch.from_numpy(np.random.default_rng(0).standard_normal((1, 64, 20, 20)).astype(np.float32))
    assert len(found(noise, 4, 0.9, most=10)[0].maps) == 10


def test_two_regions_by_hand() -> None:
    """Columns 0 to 2 like e0, the rest like e1: with a fifth column that is a little like e0, psi decides."""
    features = torch.zeros(1, 2, 3, 8)
    features[0, 0, :, :3] = 1.0
    features[0, 1, :, 3:] = 1.0
    features[0, :, :, 4] = torch.tensor([0.6, 0.8])[:, None]
    strict, loose = found(features, threshold=0.9)[0], found(features, threshold=0.7)[0]
    assert sorted((strict.maps > 0).sum((1, 2)).tolist()) == [3, 9, 12]
    assert sorted((loose.maps > 0).sum((1, 2)).tolist()) == [9, 15]


def test_subspace_iteration_gives_the_eigenvector_where_there_is_a_gap() -> None:
    rng = np.random.default_rng(0)
    basis = np.linalg.qr(rng.standard_normal((12, 12)))[0]
    values = np.array([9.0, 4, 3, 2, 1, 1, 1, 1, 1, 1, 1, 1])
    matrix = torch.from_numpy((basis * values) @ basis.T)[None]
    exact, iterated = leading_eigenvectors(matrix, "exact")[0], leading_eigenvectors(matrix, 4)[0]
    assert abs(float(exact @ torch.from_numpy(basis[:, 0]))) == pytest.approx(1)
    assert abs(float(exact @ iterated)) > 0.9999
    assert leading_eigenvectors(torch.ones(1, 1, 1), 4).abs().tolist() == [[1.0]]


def test_units_and_cosines() -> None:
    cells = flat_cells(torch.tensor([[[[3.0, 0.0]], [[4.0, 0.0]]]]), centred=False)
    assert unit_cells(cells)[0].T.tolist() == [[pytest.approx(0.6), pytest.approx(0.8)], [0, 0]]
    assert cosines(unit_cells(cells), torch.tensor([[0.0, 1.0]])).tolist() == [[pytest.approx(0.8), 0.0]]
    assert flat_cells(torch.tensor([[[[3.0, 1.0]]]]), centred=True).tolist() == [[[1.0, -1.0]]]


def two_halves() -> NDArray[np.float32]:
    maps = np.zeros((2, 4, 8), np.float32)
    maps[0, :, :4] = maps[1, :, 5:] = 0.8
    return maps


def labelled(maps: NDArray[np.float32], least: int = 0, median: bool = False, crf: Kernels = OFF) -> NDArray[np.uint8]:
    image = np.zeros((8, 16, 3), np.uint8)
    image[:, 8:] = 200
    return proposal_labels(image, maps, median=median, least=least, confidence=0.6, crf=crf)


def test_regions_are_numbered_from_one_and_the_rest_is_255() -> None:
    label = labelled(two_halves())
    assert label[:, :8].tolist() == [[1] * 8] * 8 and label[:, 10:].tolist() == [[2] * 6] * 8
    assert (label[:, 8:10] == 255).all()


def test_one_region_has_a_background() -> None:
    """The published code sums over its rows there, and finds none."""
    label = labelled(two_halves()[:1])
    assert (label[:, :8] == 1).all() and (label[:, 8:] == 255).all()
    assert with_background(two_halves()[:1])[0].sum() == 16


def test_a_small_region_is_left_out_and_the_others_are_numbered_anew() -> None:
    maps = two_halves()
    maps[0, :, :4] = 0
    maps[0, 0, 0] = 0.9
    assert set(np.unique(labelled(maps, least=2)).tolist()) == {1, 255}
    assert set(np.unique(labelled(maps, least=0)).tolist()) == {1, 2, 255}
    assert set(np.unique(labelled(maps, median=True)).tolist()) == {2, 255}, "erased, but its number stays"
    assert (labelled(maps, least=99) == 255).all() and (labelled(maps[:0]) == 255).all()


def test_confidence_is_that_of_a_cells_own_label() -> None:
    own = soft_labels(two_halves(), (4, 8), 0.6)
    assert own.max(axis=0) == pytest.approx(0.6, abs=1e-6) and own.sum(axis=0) == pytest.approx(1, abs=1e-6)
    published = soft_labels(two_halves(), (4, 8), None)
    assert published.max(axis=0) == pytest.approx(np.e / (np.e + 2), abs=1e-6)


def test_the_crf_moves_an_edge_to_the_pictures() -> None:
    label = labelled(two_halves(), crf=OFF | {"iterations": 10})
    assert (label[:, 8:] == 2).all() and (label[:, :8] == 1).all()


def test_more_regions_than_a_byte_names_are_refused() -> None:
    with pytest.raises(ValueError, match=f"a label map can name {MOST}"):
        labelled(np.ones((MOST + 1, 4, 8), np.float32))
