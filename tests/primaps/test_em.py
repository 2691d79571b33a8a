"""PriMaPs-EM's formulas, against values that were computed with the published code."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from stages.parts.errors import GraftError
from stages.parts.measure.matching import overlap
from stages.primaps.em import Head, assigned, class_focal_loss, cluster_loss, decay_of, follow, principal_start, said
from stages.primaps.scoring import cluster_scores


def test_cluster_loss_is_that_of_the_published_code() -> None:
    x = (torch.arange(16.0) - 7).reshape(1, 4, 2, 2)
    head = Head((5 * torch.eye(4))[:3])
    cosine = head(torch.nn.functional.normalize(x, dim=1))
    expected = [-0.763763, -0.670820, -0.545545, -0.408248, -0.327327, -0.223607, -0.109109, 0, 0.109109, 0.223607]
    assert cosine.flatten().tolist() == pytest.approx([*expected, 0.327327, 0.408248], abs=1e-6)
    assert cluster_loss(cosine).item() == pytest.approx(-0.267072714, abs=1e-7)


def test_class_focal_loss_is_that_of_the_published_code() -> None:
    logits = torch.tensor([[[[2.0, 0], [0, 1]], [[0, 1], [0, 0]], [[0, 0], [3, 0]]]])
    target = torch.tensor([[[0, 1], [2, 255]]])
    assert logits.softmax(1).mean((0, 2, 3)).tolist() == pytest.approx([0.405081, 0.234961, 0.359958], abs=1e-6)
    assert class_focal_loss(logits, target, 2.0).item() == pytest.approx(0.111604862, abs=1e-8)
    plain = torch.nn.functional.cross_entropy(logits, target, ignore_index=255, reduction="sum") / 4
    assert class_focal_loss(logits, target, 0.0).item() == pytest.approx(plain.item())


def test_the_teacher_is_a_mean_of_the_student_first_and_slow_later() -> None:
    assert [round(decay_of(n, 0.98), 4) for n in (1, 2, 3, 4, 5, 6)] == [0, 0.5, 0.6667, 0.75, 0.8, 0.8333]
    assert decay_of(49, 0.98) < 0.98 == decay_of(50, 0.98) == decay_of(500, 0.98)
    teacher, student = Head(torch.zeros(2, 3)), Head(torch.ones(2, 3), torch.tensor([3.0, 5.0]))
    follow(teacher, student, 1, 0.98)
    assert torch.equal(teacher.v, student.v) and torch.equal(teacher.g, student.g)
    follow(teacher, Head(torch.zeros(2, 3), torch.zeros(2)), 4, 0.98)
    assert teacher.g.tolist() == pytest.approx([2.25, 3.75])


def test_a_region_takes_the_cluster_of_most_of_its_pixels_the_smallest_of_equals() -> None:
    ids = torch.tensor([[[1, 1, 1, 2], [2, 7, 7, 255]], [[1, 1, 1, 1], [255, 255, 2, 2]]])
    prediction = torch.tensor([[[0, 2, 2, 1], [0, 3, 3, 3]], [[3, 3, 0, 1], [0, 0, 1, 1]]])
    expected = [[[2, 2, 2, 0], [0, 3, 3, 255]], [[3, 3, 3, 3], [255, 255, 1, 1]]]
    assert assigned(prediction, ids, 4).tolist() == expected


def test_which_number_a_region_has_is_no_matter() -> None:
    rng = np.random.default_rng(0)
    ids = torch.from_numpy(rng.integers(1, 6, (2, 8, 8)))
    prediction = torch.from_numpy(rng.integers(0, 4, (2, 8, 8)))
    renamed = torch.tensor([0, 4, 2, 254, 1, 9])[ids]
    assert torch.equal(assigned(prediction, ids, 4), assigned(prediction, renamed, 4))


def test_a_head_is_weight_normed_and_enlarging_comes_after_it_or_before() -> None:
    rng = torch.Generator().manual_seed(0)
    v, features = torch.randn(3, 5, generator=rng), torch.randn(2, 5, 4, 6, generator=rng)
    head = Head(7 * v, torch.tensor([1.0, 2.0, 3.0]))
    assert head.weight().norm(dim=1).tolist() == pytest.approx([1, 2, 3])
    assert torch.allclose(head.weight(), Head(v, torch.tensor([1.0, 2.0, 3.0])).weight(), atol=1e-6)
    fine = torch.nn.functional.interpolate(features, (9, 13), mode="bilinear", align_corners=False)
    assert torch.allclose(said(head.weight(), None, features, (9, 13)), head(fine), atol=1e-5)
    bias = torch.tensor([1.0, 0, 0])
    difference = said(head.weight(), bias, features, (4, 6)) - head(features)
    assert difference[:, 0].flatten().tolist() == pytest.approx([1] * 48, abs=1e-5)


def test_prototypes_start_from_principal_directions_and_then_from_cells() -> None:
    cells = torch.randn(500, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    cells *= torch.tensor([4.0, 3.0, 2.0, 1.0])
    mean = cells.mean(0)
    second = cells.T @ cells / len(cells)
    start = principal_start(second, mean, cells[:3])
    assert torch.allclose(start @ start.T, torch.eye(3), atol=1e-5)
    reference = torch.linalg.svd(cells - mean, full_matrices=False)[2][:3].float()
    assert torch.linalg.svdvals(start @ reference.T).min() == pytest.approx(1, abs=1e-5), "the same subspace"
    more = principal_start(second, mean, cells[:6])
    assert more.shape == (6, 4) and more.norm(dim=1).tolist() == pytest.approx([1] * 6)


def test_matching_is_that_of_the_published_metric() -> None:
    prediction = np.array([[2, 2, 0, 0], [1, 1, 2, 0]])
    truth = np.array([[0, 0, 1, 1], [2, 1, 0, 255]])
    counts = overlap(prediction, truth, 3, 3)
    assert counts.tolist() == [[0, 2, 0], [0, 1, 1], [3, 0, 0]]
    iou, mean, accuracy = cluster_scores(counts, "x")
    assert iou.tolist() == pytest.approx([100, 66.667, 50], abs=1e-3)
    assert (mean, accuracy) == (pytest.approx(72.222, abs=1e-3), pytest.approx(85.714, abs=1e-3))
    assert cluster_scores(overlap(prediction, truth, 4, 4), "x")[1] == pytest.approx(72.222, abs=1e-3)


def test_a_class_that_does_not_occur_takes_no_cluster() -> None:
    counts = np.zeros((3, 9), np.int64)
    counts[0, 4], counts[1, 7], counts[2, 7] = 5, 5, 3
    iou, mean, accuracy = cluster_scores(counts, "x")
    assert np.isfinite(iou).sum() == 2 and mean == pytest.approx((100 + 62.5) / 2)
    assert accuracy == pytest.approx(100 * 10 / 13)


def test_more_classes_than_prototypes_are_a_sentence() -> None:
    with pytest.raises(
        GraftError, match=r"primaps\.datasets\.x\.clusters: 2 prototypes .* the 3 classes .* set it to 3"
    ):
        cluster_scores(np.ones((2, 3), np.int64), "primaps.datasets.x")
