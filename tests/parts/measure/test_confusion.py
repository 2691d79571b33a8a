"""The confusion matrix and the scores: by hand, against mmseg where both are defined, and at the edges."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from mmengine.structures import PixelData
from mmseg.evaluation import IoUMetric
from mmseg.structures import SegDataSample

from stages.parts.datasets.labels import CITYSCAPES
from stages.parts.measure.confusion import SYNTHIA_13, SYNTHIA_16, among, confusion, scores
from stages.parts.measure.metric import ClassIoU

NAMES = ("road", "car", "truck", "bus")
TRUTH = np.array([[0, 0, 0, 1], [1, 1, 2, 255]], np.uint8)
GUESS = np.array([[0, 0, 1, 1], [1, 2, 2, 3]], np.uint8)


def matrix(truth: np.ndarray, guess: np.ndarray, num_classes: int) -> np.ndarray:
    return confusion(torch.from_numpy(truth), torch.from_numpy(guess), num_classes).numpy()


def random_maps(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 19, (40, 50)).astype(np.uint8)
    guess = np.where(rng.random(truth.shape) < 0.6, truth, rng.integers(0, 19, truth.shape)).astype(np.uint8)
    truth[rng.random(truth.shape) < 0.1] = 255
    return truth, guess


def test_matrix_by_hand_rows_are_the_truth():
    assert matrix(TRUTH, GUESS, 4).tolist() == [[2, 1, 0, 0], [0, 2, 1, 0], [0, 0, 1, 0], [0, 0, 0, 0]]


def test_scores_by_hand():
    result = scores(matrix(TRUTH, GUESS, 4), NAMES, ["truck", "bus"])
    assert result["IoU"] == {"road": 66.6667, "car": 50.0, "truck": 50.0, "bus": None}
    assert result["accuracy"] == {"road": 66.6667, "car": 66.6667, "truck": 100.0, "bus": None}
    assert result["mIoU"] == result["mIoU_19"] == pytest.approx((200 / 3 + 50 + 50) / 3, abs=1e-4)
    assert result["mIoU_16"] == result["mIoU_13"] == pytest.approx((200 / 3 + 50) / 2, abs=1e-4)  # no truck
    assert result["base_mIoU"] == pytest.approx((200 / 3 + 50) / 2, abs=1e-4)
    assert result["novel_mIoU"] == 50
    assert result["pixel_accuracy"] == pytest.approx(500 / 7, abs=1e-4)
    assert result["vehicles"]["car"] == {"car": 66.6667, "truck": 33.3333, "bus": 0, "other": 0}
    assert set(result["vehicles"]) == {"car", "truck"}  # no bus in the truth


def test_the_classes_of_synthias_means_are_the_published_ones():
    assert set(CITYSCAPES.names) - set(SYNTHIA_16) == {"terrain", "truck", "train"}
    assert set(SYNTHIA_16) - set(SYNTHIA_13) == {"wall", "fence", "pole"}
    told = scores(np.diag(np.arange(1, 20)), CITYSCAPES.names, [])
    assert told["mIoU_19"] == told["mIoU_16"] == told["mIoU_13"] == 100
    halves = np.diag(np.arange(1, 20))
    halves[9, 9], halves[9, 0] = 0, 10  # terrain is road: the mean of 19 falls, of 16 and 13 but by road's stray pixels
    told = scores(halves, CITYSCAPES.names, [])
    road = 100 * 1 / 11
    assert told["mIoU_19"] == pytest.approx((17 * 100 + road) / 19, abs=1e-4)
    assert told["mIoU_16"] == pytest.approx((15 * 100 + road) / 16, abs=1e-4)
    assert told["mIoU_13"] == pytest.approx((12 * 100 + road) / 13, abs=1e-4)


def test_confusion_among_a_few_classes_adds_up_to_100_with_the_others():
    counts = np.array([[5, 0, 0], [2, 6, 2], [0, 0, 0]])
    assert among(counts, ("road", "car", "bus"), ("car", "bus", "train")) == {
        "car": {"car": 60.0, "bus": 20.0, "other": 20.0}
    }


def stray(absent: str) -> dict:
    """A truth of road alone, in which one pixel is predicted as the absent class bus."""
    guess = np.zeros((10, 10), np.uint8)
    guess[0, 0] = 3
    return scores(matrix(np.zeros((10, 10), np.uint8), guess, 4), NAMES, ["truck", "bus"], absent)  # type: ignore[arg-type]


def test_a_class_counts_if_and_only_if_it_occurs_in_the_truth():
    """One stray pixel of an absent class may not move a mean but through the class it was taken from."""
    result = stray("skip")
    assert result["IoU"] == {"road": 99.0, "car": None, "truck": None, "bus": None}
    assert result["mIoU"] == 99
    assert result["novel_mIoU"] is None


def test_as_mmseg_has_it_a_stray_pixel_makes_an_absent_class_0():
    result = stray("mmseg")
    assert result["IoU"] == {"road": 99.0, "car": None, "truck": None, "bus": 0.0}
    assert result["mIoU"] == 49.5
    assert result["novel_mIoU"] == 0


def test_a_class_that_is_missed_altogether_is_0_and_counts():
    truth = np.zeros((10, 10), np.uint8)
    truth[0, 0] = 3
    missed = scores(matrix(truth, np.zeros((10, 10), np.uint8), 4), NAMES, ["truck", "bus"])
    assert missed["IoU"]["bus"] == missed["novel_mIoU"] == 0


def test_nothing_labelled_scores_nothing():
    result = scores(matrix(np.full((3, 3), 255, np.uint8), np.zeros((3, 3), np.uint8), 4), NAMES, ["bus"])
    assert result["mIoU"] is result["base_mIoU"] is result["novel_mIoU"] is result["pixel_accuracy"] is None


@pytest.mark.parametrize(("truth", "guess", "name"), [(4, 0, "label"), (254, 0, "label"), (0, 4, "prediction")])
def test_an_id_out_of_range_is_refused(truth, guess, name):
    maps = np.full((2, 2), truth, np.uint8), np.full((2, 2), guess, np.uint8)
    with pytest.raises(ValueError, match=f"the {name} holds the id {truth or guess}"):
        matrix(*maps, 4)


def test_maps_of_two_shapes_are_refused():
    with pytest.raises(ValueError, match=r"\(2, 2\).*\(2, 3\)"):
        matrix(np.zeros((2, 2), np.uint8), np.zeros((2, 3), np.uint8), 4)


def test_what_is_predicted_on_ignored_pixels_does_not_matter():
    other = GUESS.copy()
    other[1, 3] = 0
    assert (matrix(TRUTH, other, 4) == matrix(TRUTH, GUESS, 4)).all()


def test_matrices_of_parts_add_up_to_that_of_the_whole():
    parts = [matrix(TRUTH[:, [k]], GUESS[:, [k]], 4) for k in range(4)]
    assert (np.sum(parts, axis=0) == matrix(TRUTH, GUESS, 4)).all()


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int64])
def test_counts_are_integers_whatever_the_maps_type(dtype):
    counts = confusion(torch.from_numpy(TRUTH).to(dtype), torch.from_numpy(GUESS).to(dtype), 4)
    assert counts.dtype == torch.int64
    assert counts.tolist() == matrix(TRUTH, GUESS, 4).tolist()


def theirs(truth: np.ndarray, guess: np.ndarray) -> dict:
    maps = (torch.from_numpy(each.astype(np.int64)) for each in (guess, truth))
    return IoUMetric.total_area_to_metrics(*IoUMetric.intersect_and_union(*maps, 19, 255))


def test_agrees_with_mmseg_where_every_class_occurs():
    truth, guess = random_maps()
    mmseg = theirs(truth, guess)
    ours = scores(matrix(truth, guess, 19), CITYSCAPES.names, ["truck"])
    assert list(ours["IoU"].values()) == pytest.approx(100 * mmseg["IoU"], abs=1e-4)
    assert list(ours["accuracy"].values()) == pytest.approx(100 * mmseg["Acc"], abs=1e-4)
    assert ours["pixel_accuracy"] == pytest.approx(100 * float(mmseg["aAcc"]), abs=1e-4)
    assert ours["mIoU"] == pytest.approx(100 * np.mean(mmseg["IoU"]), abs=1e-4)


def test_with_mmsegs_rule_it_agrees_with_mmseg_where_classes_are_absent_too():
    truth, guess = random_maps()
    truth[truth > 12] = 0
    guess[guess > 15] = 0  # 13 to 15 are predicted and never true, 16 to 18 neither
    mmseg = theirs(truth, guess)
    ours = scores(matrix(truth, guess, 19), CITYSCAPES.names, [], "mmseg")
    assert [np.nan if iou is None else iou for iou in ours["IoU"].values()] == pytest.approx(
        100 * mmseg["IoU"], abs=1e-4, nan_ok=True
    )
    assert ours["mIoU"] == pytest.approx(100 * np.nanmean(mmseg["IoU"]), abs=1e-4)


def data_sample(truth: np.ndarray, guess: np.ndarray) -> dict:
    maps = [PixelData(data=torch.from_numpy(each.astype(np.int64))[None]) for each in (truth, guess)]
    return SegDataSample(gt_sem_seg=maps[0], pred_sem_seg=maps[1]).to_dict()


@pytest.mark.filterwarnings("ignore")
def test_the_metric_gives_mmsegs_means_and_every_class_as_a_number():
    pairs = [data_sample(*random_maps(seed)) for seed in range(3)]
    ours, mmsegs = ClassIoU(novel=["truck", "bus"]), IoUMetric()
    for metric in (ours, mmsegs):
        metric.dataset_meta = {"classes": CITYSCAPES.names}
        metric.process({}, pairs[:2])
        metric.process({}, pairs[2:])
    told, known = ours.evaluate(3), mmsegs.evaluate(3)
    assert told["mIoU"] == pytest.approx(known["mIoU"], abs=0.01)  # IoUMetric rounds to two digits
    assert told["pixel_accuracy"] == pytest.approx(known["aAcc"], abs=0.01)
    assert np.mean([told[f"IoU/{name}"] for name in CITYSCAPES.names]) == pytest.approx(told["mIoU"], abs=1e-3)
    assert told["novel_mIoU"] == pytest.approx((told["IoU/truck"] + told["IoU/bus"]) / 2, abs=1e-3)
