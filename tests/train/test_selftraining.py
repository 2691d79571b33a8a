"""Which losses each method has, where their gradients go, and what a published switch changes."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
import torch.utils.deterministic
from mmseg.structures import SegDataSample

from stages.parts.datasets.labels import LABELS
from stages.parts.learning.augment import block_mask
from stages.parts.learning.optimisation import adamw
from stages.parts.store.streams import draw_stream
from stages.train.methods import METHODS, Name
from tests.train.methods import batch, losses, model

# Every class is a thing and every cell counts; one class is, and no cell does.
ALL = {"classes": list(LABELS.names), "min_ratio": 0.1}
NONE = {"classes": ["train"], "min_ratio": 1.0}

TERMS: dict[Name, set[str]] = {
    "source_only": {"source.loss"},
    "supervised": {"source.loss"},
    "dacs": {"source.loss", "mix.loss", "mix.quality"},
    "daformer": {"source.loss", "distance.loss", "mix.loss", "mix.quality"},
    "hrda": {"source.loss", "distance.loss", "mix.loss", "mix.quality"},
    "mic": {"source.loss", "distance.loss", "mix.loss", "mask.loss", "mix.quality"},
    "mic_hrda": {"source.loss", "distance.loss", "mix.loss", "mask.loss", "mix.quality"},
}


@pytest.mark.parametrize("method", METHODS)
def test_every_method_has_its_losses_and_their_gradients_reach_the_student_alone(method: Name):
    segmentor = model(method)
    out = losses(segmentor, batch(target=METHODS[method].adapts))
    assert set(out) == TERMS[method]
    assert all(torch.isfinite(value) for value in out.values())
    total, _ = segmentor.parse_losses(out)
    assert total.item() == pytest.approx(sum(v.item() for k, v in out.items() if k.endswith(".loss")))
    total.backward()
    assert all(parameter.grad is not None for parameter in segmentor.student.parameters())
    if segmentor.teacher is None:
        assert not METHODS[method].adapts
    else:
        assert all(p.grad is None and not p.requires_grad for p in segmentor.teacher.parameters())
    assert not any("reference" in key for key in segmentor.state_dict())


@pytest.mark.parametrize("method", ["daformer", "mic_hrda"])
def test_a_step_on_daformers_network_gives_every_parameter_a_gradient(method: Name):
    segmentor = model(method, "daformer-b0").train()
    total, _ = segmentor.parse_losses(losses(segmentor, batch()))
    total.backward()
    gradients = {name: parameter.grad for name, parameter in segmentor.student.named_parameters()}
    assert all(gradient is not None and torch.isfinite(gradient).all() for gradient in gradients.values())
    assert all(gradient.any() for gradient in gradients.values() if gradient is not None)
    before = {name: parameter.detach().clone() for name, parameter in segmentor.student.named_parameters()}
    adamw(segmentor.student, 1e-3, 0.01, segmentor.student.backbone, 0.1, "layer_norm").step()
    assert not any(torch.equal(before[name], now) for name, now in segmentor.student.named_parameters())
    assert not any(module.training for module in segmentor.reference[0].modules())  # dropped-out features are no anchor


def test_source_loss_is_a_mean_over_all_pixels_ignored_ones_included():
    segmentor, data = model("source_only"), batch(target=False)
    full = losses(segmentor, data)["source.loss"].item()
    assert full == pytest.approx(math.log(19), rel=0.2)
    data = batch(target=False)
    for sample in data["data_samples"]["source"]:
        sample.gt_sem_seg.data[:, :32] = 255
    assert losses(segmentor, data)["source.loss"].item() == pytest.approx(full / 2, rel=0.05)


@pytest.mark.parametrize("method", ["dacs", "mic_hrda"])
def test_an_unsure_teacher_contributes_source_pixels_only(method: Name):
    """At q = 0 the pseudo-labelled pixels weigh nothing: an unlabelled source makes all target losses 0."""
    data = batch()
    for sample in data["data_samples"]["source"]:
        sample.gt_sem_seg.data[:] = 255
    out = losses(model(method), data)
    assert {value.item() for name, value in out.items()} == {0}


def test_a_margin_over_the_whole_image_silences_the_pseudo_labels():
    sure: dict[str, Any] = {"pseudo_threshold": 0.0, "masking": {"ratio": 0.0}}
    heard = losses(model("mic", **sure), batch())
    silent = losses(model("mic", **sure, margin=(64, 0, 0, 0)), batch())
    assert heard["mix.quality"] == silent["mix.quality"] == 1
    assert heard["mask.loss"] > 1
    assert silent["mask.loss"] == 0
    assert 0 < silent["mix.loss"] < heard["mix.loss"]  # the source's pixels


def test_padding_is_never_a_pseudo_label():
    segmentor = model()
    data = segmentor.data_preprocessor(batch(height=24, width=40), True)
    assert data["inputs"]["target"].shape[2:] == (32, 64)
    label, _ = segmentor._pseudo_label(data["inputs"]["target"], data["data_samples"]["target"])
    known = label != 255
    assert known[:, :24, :40].all()
    assert known.sum() == 2 * 24 * 40


def test_the_feature_distance_is_0_at_first_and_grows_as_the_encoder_moves():
    segmentor, data = model("daformer", feature_distance=ALL), batch()
    assert losses(segmentor, data)["distance.loss"] == 0
    with torch.no_grad():
        for parameter in segmentor.student.backbone.parameters():
            parameter.mul_(1.1)
    moved = losses(segmentor, data)
    assert moved["distance.loss"] > 0
    assert losses(model("daformer", feature_distance=NONE), data)["distance.loss"] == 0  # no cell


def test_lambdas_scale_their_losses():
    def moved(distance: float, mask: float) -> dict[str, torch.Tensor]:
        weights: dict[str, Any] = {"feature_distance": ALL | {"weight": distance}, "masking": {"weight": mask}}
        segmentor = model("mic", pseudo_threshold=0.0, **weights)
        with torch.no_grad():
            for parameter in segmentor.student.backbone.parameters():
                parameter.mul_(1.1)
        return losses(segmentor, batch())

    known = moved(distance=0.005, mask=1.0)
    other = moved(distance=0.015, mask=0.25)
    assert other["distance.loss"].item() == pytest.approx(3 * known["distance.loss"].item(), rel=1e-4)
    assert other["mask.loss"].item() == pytest.approx(known["mask.loss"].item() / 4, rel=1e-4)
    assert other["mix.loss"] == known["mix.loss"] > 0


def test_masked_images_are_0_on_hidden_blocks_and_the_augmented_image_elsewhere():
    segmentor = model("mic", jitter_probability=0.0, blur_probability=0.0)
    data = segmentor.data_preprocessor(batch(), True)
    images, samples = data["inputs"]["target"], data["data_samples"]["source"]
    masks = [block_mask((64, 128), 8, 0.7, draw_stream(0, k, "mask")) for k in range(2)]
    hidden = segmentor._masked(images, samples)
    for k, mask in enumerate(masks):
        assert 0.1 < mask.mean() < 0.5
        torch.testing.assert_close(hidden[k], images[k] * mask, rtol=1e-3, atol=1e-3)
    seen, nothing = (
        losses(model("mic", pseudo_threshold=0.0, masking={"ratio": ratio}), batch())["mask.loss"]
        for ratio in (0.0, 1.0)
    )
    assert seen != nothing  # the student looks at the masked images


def test_a_margin_of_the_whole_image_is_mirrored_with_its_crop():
    segmentor = model(margin=(0, 0, 8, 0), margin_of="image")
    about = {"whole_shape": (64, 256), "box": (0, 0, 64, 128), "img_shape": (64, 128)}
    plain, mirrored = (
        segmentor._inside(SegDataSample(metainfo=about | {"flip": flip}), torch.Size((64, 128)))
        for flip in (False, True)
    )
    assert plain[:, :8].sum() == 0 and plain[:, 8:].all()
    assert mirrored[:, -8:].sum() == 0 and mirrored[:, :-8].all()


def test_the_detail_has_a_tenth_of_the_weight_in_hrda():
    parts = [
        losses(model("hrda", detail={"weight": share}), batch())["source.loss"].item() for share in (0.0, 1.0, 0.1)
    ]
    assert parts[2] == pytest.approx(0.9 * parts[0] + 0.1 * parts[1], rel=1e-5)


def test_the_teacher_normalises_by_its_batch_and_drops_nothing_out():
    segmentor = model(network="segformer-b0").train()
    assert segmentor.teacher is not None
    modes = {type(module).__name__: module.training for module in segmentor.teacher.modules()}
    assert modes["BatchNorm2d"]
    assert not modes["DropPath"]
    assert not modes["Dropout2d"]
    images = segmentor.data_preprocessor(batch(), True)
    once = segmentor._pseudo_label(images["inputs"]["target"], images["data_samples"]["target"])
    again = segmentor._pseudo_label(images["inputs"]["target"], images["data_samples"]["target"])
    assert (once[0] == again[0]).all()


def test_or_by_running_statistics_if_told_to():
    segmentor = model(network="segformer-b0", teacher_norm="running").train()
    assert segmentor.teacher is not None
    assert not any(module.training for module in segmentor.teacher.modules())
    assert segmentor.student.training


def test_each_switch_of_the_published_code_changes_the_loss():
    sure: dict[str, Any] = {"pseudo_threshold": 0.09}
    out = losses(model(**sure), batch())
    known = out["mix.loss"].item()
    assert 0 < out["mix.quality"] < 1
    for switch in ({"quality_per": "image"}, {"classes_of": "image"}, {"margin": (15, 0, 0, 0)}, {"jitter": 0.5}):
        assert losses(model(**sure, **switch), batch())["mix.loss"].item() != known, switch


@pytest.mark.parametrize("method", ["dacs", "mic_hrda"])
def test_memory_that_is_not_filled_changes_no_bit(method: Name):
    def trained(fill: bool) -> list[torch.Tensor]:
        torch.utils.deterministic.fill_uninitialized_memory = fill  # type: ignore[attr-defined]
        segmentor = model(method)
        optimiser = adamw(segmentor.student, 1e-3, 0.01)
        for _ in range(2):
            segmentor.train_step(batch(), optimiser)
        return list(segmentor.state_dict().values())

    torch.use_deterministic_algorithms(True)
    try:
        pairs = list(zip(trained(True), trained(False), strict=True))
    finally:
        torch.use_deterministic_algorithms(False)
        torch.utils.deterministic.fill_uninitialized_memory = True  # type: ignore[attr-defined]
    assert all(torch.equal(filled, plain) for filled, plain in pairs)
