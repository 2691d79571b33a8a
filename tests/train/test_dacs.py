"""DACS: pseudo-labels, ClassMix and the weights, on maps small enough to check by eye."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample

from stages import segmenter
from stages.train.augment import strong_augment
from stages.train.dacs import DACS, class_mix, mixed_target, pseudo_label
from stages.train.streams import stream

LABEL = torch.tensor([[10, 10, 2, 2], [13, 13, 0, 255]])  # sky, building, car, road, ignored


def test_pseudo_weight_is_the_share_of_sure_pixels_of_the_whole_batch():
    sure = math.log(0.97 / 0.03)  # two classes: softmax gives 0.97
    logits = torch.zeros(2, 2, 1, 4)
    logits[0, 1, 0, :3] = sure
    logits[1, 0, 0, 0] = sure
    logits[1, 1, 0, 1] = sure / 2
    label, quality = pseudo_label(logits, 0.968)
    assert label.tolist() == [[[1, 1, 1, 0]], [[0, 1, 0, 0]]]
    assert quality.item() == pytest.approx(4 / 8)
    assert pseudo_label(logits, 0.971)[1].item() == 0


def test_class_mix_takes_whole_classes_and_half_of_them():
    taken: list[int] = []
    for draw in range(50):
        mask = class_mix(LABEL, np.random.default_rng(draw))
        classes = set(LABEL[mask].tolist())
        assert len(classes) == 2  # of four; 255 is no class
        assert 255 not in classes
        assert (mask == torch.isin(LABEL, torch.tensor(sorted(classes)))).all()
        taken += classes
    assert set(taken) == {0, 2, 10, 13}


@pytest.mark.parametrize(("classes", "expected"), [(1, 1), (2, 1), (3, 2), (5, 3)])
def test_class_mix_rounds_half_up(classes, expected):
    label = torch.arange(classes).repeat(2, 1)
    assert class_mix(label, np.random.default_rng(0)).sum() == 2 * expected


def test_class_mix_of_an_unlabelled_image_is_empty():
    assert not class_mix(torch.full((2, 2), 255), np.random.default_rng(0)).any()


def test_mixed_label_and_weight_maps():
    mask = torch.tensor([[True, True, False, False], [False, False, False, True]])
    label, weight = mixed_target(mask, LABEL, torch.full((2, 4), 8), torch.tensor(0.25))
    assert label.tolist() == [[10, 10, 8, 8], [8, 8, 8, 255]]
    assert weight.tolist() == [[1, 1, 0.25, 0.25], [0.25, 0.25, 0.25, 1]]


def model(name: str = "unet") -> DACS:
    torch.manual_seed(0)
    return DACS(segmenter.build(name, 19), 0.968, 1.0, 0.2, 1.0)


def batch(size: int = 2, height: int = 32, width: int = 64) -> dict:
    rng = np.random.default_rng(0)
    sides: dict = {"inputs": {"source": [], "target": []}, "data_samples": {"source": [], "target": []}}
    for k in range(size):
        for side in ("source", "target"):
            image = torch.from_numpy(rng.integers(0, 255, (3, height, width), dtype=np.uint8))
            sample = SegDataSample(metainfo={"seed": 0, "draw": k})
            if side == "source":
                labels = torch.from_numpy(rng.integers(0, 19, (1, height, width)))
                sample.gt_sem_seg = PixelData(data=labels)
            sides["inputs"][side].append(image)
            sides["data_samples"][side].append(sample)
    return sides


def losses(dacs: DACS, data: dict) -> dict[str, float]:
    done = dacs.data_preprocessor(data, True)
    return {name: value.item() for name, value in dacs(**done, mode="loss").items()}


def test_source_loss_is_a_mean_over_all_pixels_ignored_ones_included():
    dacs, data = model(), batch()
    dacs.eval()  # running statistics: the logits do not depend on the labels or on the other branch
    full = losses(dacs, data)["source.loss"]
    assert full == pytest.approx(math.log(19), rel=0.2)
    data = batch()
    for sample in data["data_samples"]["source"]:
        sample.gt_sem_seg.data[:, :16] = 255
    half = losses(dacs, data)["source.loss"]
    assert half == pytest.approx(full / 2, rel=0.05)


def test_an_unsure_teacher_contributes_source_pixels_only():
    """At q = 0 the pseudo-labelled pixels weigh nothing: an unlabelled source makes the mix loss 0."""
    dacs, data = model(), batch()
    for sample in data["data_samples"]["source"]:
        sample.gt_sem_seg.data[:] = 255
    out = losses(dacs, data)
    assert out["mix.quality"] == 0
    assert out["mix.loss"] == 0


def test_padding_is_never_a_pseudo_label():
    dacs = model()
    data = dacs.data_preprocessor(batch(height=24, width=40), True)
    assert data["inputs"]["target"].shape[2:] == (32, 64)
    label, _ = dacs._pseudo_label(data["inputs"]["target"], data["data_samples"]["target"])
    known = label != 255
    assert known[:, :24, :40].all()
    assert known.sum() == 2 * 24 * 40


def test_gradients_reach_the_student_and_never_the_teacher():
    dacs = model()
    out = dacs(**dacs.data_preprocessor(batch(), True), mode="loss")
    (out["source.loss"] + out["mix.loss"]).backward()
    assert all(parameter.grad is not None for parameter in dacs.student.parameters())
    assert not any(parameter.requires_grad for parameter in dacs.teacher.parameters())
    assert all(parameter.grad is None for parameter in dacs.teacher.parameters())


def test_the_teacher_normalises_by_its_batch_and_drops_nothing_out():
    dacs = model("segformer").train()
    modes = {type(module).__name__: module.training for module in dacs.teacher.modules()}
    assert modes["BatchNorm2d"]
    assert not modes["DropPath"]
    assert not modes["Dropout2d"]
    images = dacs.data_preprocessor(batch(), True)
    once = dacs._pseudo_label(images["inputs"]["target"], images["data_samples"]["target"])
    again = dacs._pseudo_label(images["inputs"]["target"], images["data_samples"]["target"])
    assert (once[0] == again[0]).all()


def test_strong_augmentation_happens_as_often_as_it_says_and_stays_in_range():
    image = torch.rand(3, 32, 64, generator=torch.Generator().manual_seed(0))
    changed = [strong_augment(image, stream(0, k, "augment"), 0.8, 0.2, 0.0).ne(image).any() for k in range(300)]
    assert abs(sum(map(int, changed)) - 240) < 30
    both = strong_augment(image, stream(0, 1, "augment"), 1.0, 0.2, 1.0)
    assert both.shape == image.shape
    assert 0 <= both.min() <= both.max() <= 1
    assert (both == strong_augment(image, stream(0, 1, "augment"), 1.0, 0.2, 1.0)).all()
    assert (image == strong_augment(image, stream(0, 1, "augment"), 0.0, 0.2, 0.0)).all()
