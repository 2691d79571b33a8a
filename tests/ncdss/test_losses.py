"""What a step of basic and of EUMS adds up, against cross-entropies worked out apart [2.4, 2.6]."""

from __future__ import annotations

import types

import numpy as np
import pytest
import torch
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample

from stages.parts.discovery.networks import build_network
from stages.parts.discovery.selftraining import (
    Amounts,
    ClassDiscovery,
    ConstantTeacher,
    mean_cross_entropy,
    online_label,
)

CLASSES = 5


def student(seed: int = 0) -> torch.nn.Module:
    torch.manual_seed(seed)
    network = build_network("unet", CLASSES)
    network.init_weights()
    return network


def batch(seed: int = 0) -> tuple[dict, dict]:
    """Normalised images and samples of the three branches; a third of the labels is ignored."""
    rng = torch.Generator().manual_seed(seed)
    inputs = {name: torch.randn(2, 3, 32, 32, generator=rng) for name in ("base", "clean", "unclean")}
    samples: dict[str, list[SegDataSample]] = {}
    for name in inputs:
        samples[name] = []
        for k in range(2):
            sample = SegDataSample(metainfo={"seed": 0, "draw": k, "img_shape": (32, 32)})
            if name != "unclean":
                label = torch.randint(0, CLASSES, (1, 32, 32), generator=rng)
                label[torch.rand(label.shape, generator=rng) < 1 / 3] = 255
                sample.gt_sem_seg = PixelData(data=label)
            samples[name].append(sample)
    return inputs, samples


def by_hand(logits: torch.Tensor, label: torch.Tensor) -> float:
    """-mean log softmax of the true class, over the pixels that are not 255."""
    log = logits.log_softmax(1).permute(0, 2, 3, 1)[label != 255]
    return -log.gather(1, label[label != 255][:, None]).mean().item()


def labels(samples: list[SegDataSample]) -> torch.Tensor:
    return torch.stack([sample.gt_sem_seg.data[0] for sample in samples])


@pytest.mark.parametrize("halve", [False, True])
@pytest.mark.parametrize("unsure", [0.0, 0.5])
def test_the_three_losses_are_those_by_hand(halve: bool, unsure: float) -> None:
    """unsure: the share of pixels whose online label eta throws away."""
    model = ClassDiscovery(student(), True, halve=halve, weight=lambda iteration: 0.3).eval()
    inputs, samples = batch()
    with torch.no_grad():
        online = model.teach(inputs["unclean"])
        eta = model.eta = online.softmax(1).amax(1).quantile(unsure).item() if unsure else 0.0
        losses = model.loss(inputs, samples)
        label = online.argmax(1)
        label[online.softmax(1).amax(1) < eta] = 255
        wanted = {name: by_hand(model.logits(inputs[name]), labels(samples[name])) for name in ("base", "clean")}
        unclean = by_hand(model.logits(inputs["unclean"]), label)
    assert losses["base.loss"].item() == pytest.approx(wanted["base"] / (2 if halve else 1), abs=1e-5)
    assert losses["clean.loss"].item() == pytest.approx(wanted["clean"] / (2 if halve else 1), abs=1e-5)
    assert losses["unclean.loss"].item() == pytest.approx(0.3 * unclean, abs=1e-5)


def test_basic_has_two_losses_and_no_teacher() -> None:
    model = ClassDiscovery(student())
    inputs, samples = batch()
    losses = model.loss(
        {"base": inputs["base"], "novel": inputs["clean"]}, {"base": samples["base"], "novel": samples["clean"]}
    )
    assert losses.keys() == {"base.loss", "novel.loss"} and model.teacher is None


def test_online_labels_below_eta_are_ignored_and_0_keeps_all() -> None:
    logits = torch.tensor([[2.0, 0.1], [0.0, 0.0]])[None, :, None]  # two pixels: sure, and hardly
    assert online_label(logits, 0.0).tolist() == [[[0, 0]]]
    assert online_label(logits, 0.6).tolist() == [[[0, 255]]]
    assert online_label(logits, 1.0).tolist() == [[[255, 255]]]


def test_a_batch_without_a_known_pixel_costs_nothing() -> None:
    nothing = torch.full((1, 4, 4), 255)
    assert mean_cross_entropy(torch.randn(1, 3, 4, 4), nothing).item() == 0.0


def test_the_teacher_gives_labels_of_the_weak_view_and_the_student_learns_the_strong_one() -> None:
    plain = ClassDiscovery(student(), True).eval()
    strong = ClassDiscovery(student(), True, strong=Amounts(0.5, 0.25)).eval()
    inputs, samples = batch()
    inputs = {name: images * 0.5 for name, images in inputs.items()}  # within [0, 1] before the normalisation
    with torch.no_grad():
        losses = [model.loss(inputs, samples) for model in (plain, strong)]
    assert losses[0]["base.loss"] == losses[1]["base.loss"]
    assert losses[0]["unclean.loss"] != losses[1]["unclean.loss"]


def test_the_teacher_follows_by_a_constant_and_before_the_labels() -> None:
    model = ClassDiscovery(student(), True)
    before = [value.clone() for value in model.teacher.parameters()]  # type: ignore[union-attr]
    with torch.no_grad():
        for value in model.student.parameters():
            value.add_(1.0)
    runner = types.SimpleNamespace(model=model, iter=7)
    ConstantTeacher(0.99).before_train_iter(runner, 7)
    for old, new in zip(before, model.teacher.parameters(), strict=True):  # type: ignore[union-attr]
        assert torch.allclose(new, old + 0.01, atol=1e-6)
    assert model.iteration == 7


def test_a_noisy_teachers_decoder_is_in_train_mode_and_its_backbone_is_not() -> None:
    for noisy in (False, True):
        teacher = ClassDiscovery(student(), True, noisy=noisy).train().teacher
        assert teacher is not None
        assert teacher.decode_head.training == noisy and not teacher.backbone.training


def test_a_jittered_picture_is_its_own_whatever_stands_beside_it() -> None:
    model = ClassDiscovery(student(), weak=Amounts(0.4, 0.1))
    inputs, samples = batch()
    whole = model.jittered(inputs["base"], samples["base"], "x", model.weak)
    alone = model.jittered(inputs["base"][1:], samples["base"][1:], "x", model.weak)
    assert np.allclose(whole[1:].numpy(), alone.numpy(), atol=1e-4)
