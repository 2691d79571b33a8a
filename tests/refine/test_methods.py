"""The methods beside SAM, by hand; views, slots and snap around it; the ring of doubt."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from transformers import CLIPImageProcessor, CLIPModel, ConvNextImageProcessor, ResNetConfig, ResNetModel

from stages.labels import GraftError
from stages.refine.candidates import Candidates, Encoded
from stages.refine.doubt import alpha, doubted, ring
from stages.refine.entropy import normalised
from stages.refine.methods import Attention, Drawn, OwnAttention, Principal, Prompted
from stages.refine.open import open_method
from stages.refine.phash import phash
from stages.refine.primaps import Features, principal_mask, touched
from stages.refine.prompts import Prompt, on_object, prompt
from stages.refine.sam import Sam
from stages.refine.self_attention import grid, labels, spread
from stages.refine.views import View, views, vote

OFF: dict[str, Any] = {
    "iterations": 0, "bilateral_weight": 3.0, "bilateral_xy": 5.0, "bilateral_rgb": 13.0,
    "gaussian_weight": 1.0, "gaussian_xy": 1.0,
}  # fmt: skip


def block(top: int, bottom: int, left: int, right: int, side: int = 64) -> NDArray[np.bool_]:
    mask = np.zeros((side, side), bool)
    mask[top:bottom, left:right] = True
    return mask


def drawn(seed: int, mask: NDArray[np.bool_] | None = None) -> Drawn:
    image = np.random.default_rng(seed).integers(0, 60, (64, 64, 3)).astype(np.uint8)
    mask = block(20, 44, 12, 50) if mask is None else mask
    image[mask] += 150
    return Drawn(image, mask.astype(np.float32), mask)


# ---- self-attention ----


def test_a_map_is_carried_along_the_likeness_by_hand() -> None:
    """Cells 0 and 1 attend to each other only, 2 and 3 too: what points at 0 ends on 0 and 1."""
    own = np.kron(np.eye(2), np.full((2, 2), 0.5)).astype(np.float32)
    found = spread(own, np.array([[[8.0, 0.0], [0.0, 0.0]]], np.float32), (2, 2), 4)
    assert found.tolist() == [[[1.0, 1.0], [0.0, 0.0]]]


def test_power_is_a_matrix_power_and_zero_is_the_map_itself() -> None:
    own = np.array([[0.9, 0.1, 0, 0], [0.2, 0.7, 0.1, 0], [0, 0.3, 0.6, 0.1], [0, 0, 0.5, 0.5]], np.float32)
    cross = np.array([[[1.0, 0.0], [0.5, 0.25]]], np.float32)
    expected = own.astype(float) @ own @ own @ own @ cross.reshape(-1)
    expected = (expected - expected.min()) / (expected - expected.min()).max()
    assert spread(own, cross, (8, 8), 4).reshape(-1) == pytest.approx(expected, abs=1e-12)
    assert spread(own, cross, (8, 8), 0).reshape(-1) == pytest.approx([1.0, 0.0, 0.5, 0.25])


def test_scaling_either_map_changes_nothing_and_a_flat_map_points_nowhere() -> None:
    rng = np.random.default_rng(0)
    own, cross = rng.random((16, 16)).astype(np.float32), rng.random((2, 4, 4)).astype(np.float32)
    own /= own.sum(1, keepdims=True)
    assert spread(own, cross, (64, 64), 4) == pytest.approx(spread(own, cross * 8, (64, 64), 4))
    assert not spread(own, np.ones((1, 4, 4), np.float32), (64, 64), 4).any()


def test_labels_have_a_band_of_doubt_between_two_thresholds() -> None:
    maps = np.array([[[0.6, 0.59], [0.5, 0.49]], [[0.0, 0.7], [0.0, 0.0]]])
    assert labels(maps, (2, 2), 0.6, 0.5).tolist() == [[1, 2], [255, 0]]
    with pytest.raises(ValueError, match="255 classes"):
        labels(np.zeros((255, 1, 1)), (2, 2), 0.6, 0.5)


def test_labels_are_enlarged_bicubically() -> None:
    """Pinned off the grid: between cells of 0 and 1 the kernel gives 0.2265625, where a bilinear one gives 0.25."""
    step = np.array([[[0.0, 0.0, 1.0, 1.0]]])
    assert labels(step, (1, 8), 0.2265, 0.2).tolist() == [[0, 0, 0, 1, 1, 1, 1, 1]]
    assert labels(step, (1, 8), 0.2266, 0.2).tolist() == [[0, 0, 0, 255, 1, 1, 1, 1]]


def test_the_grid_has_the_images_proportions() -> None:
    assert grid(64, (64, 64)) == (8, 8)
    assert grid(128, (64, 128)) == (8, 16)
    with pytest.raises(ValueError, match="no scale of an image of 64 x 64"):
        grid(60, (64, 64))


def test_a_sample_without_recorded_self_attention_is_a_sentence() -> None:
    with pytest.raises(GraftError, match=r"generate\.attribution to dataset_diffusion"):
        OwnAttention(4, 0.6, 0.5)({0: drawn(0)})


def test_the_method_gives_mask_and_doubt() -> None:
    own = np.eye(16, dtype=np.float32)
    cross = np.zeros((4, 4), np.float32)
    cross[1:3, 1:3] = 1.0
    one = drawn(0)
    found = OwnAttention(4, 0.6, 0.5)({3: Drawn(one.image, one.attribution, one.seed, own, cross)})[3]
    assert found.mask[24:40, 24:40].all() and not found.mask[:8].any()
    assert found.doubt.any() and not (found.doubt & found.mask).any()


# ---- principal masks ----


def two_part_features() -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Left half of an 8 x 8 grid looks like e0, right half like e1; the map peaks in the left."""
    features = np.zeros((3, 8, 8), np.float32)
    features[0, :, :4] = features[1, :, 4:] = 2.0
    attribution = np.zeros((64, 64), np.float32)
    attribution[16:48, 4:20] = 1.0
    return features, attribution


def test_the_region_that_looks_like_the_peak_is_the_mask() -> None:
    features, attribution = two_part_features()
    mask = principal_mask(features, attribution, 0.5)
    assert mask[:, :28].all() and not mask[:, 36:].any()


def test_a_like_region_that_the_map_does_not_touch_is_left_out() -> None:
    features, attribution = two_part_features()
    features[:, :, 4] = 0
    features[2, :, 4] = 1.0
    features[0, :, 6:], features[1, :, 6:] = 2.0, 0.0
    assert not principal_mask(features, attribution, 0.6)[:, 44:].any()


def test_the_scale_and_sign_of_nothing_matters() -> None:
    features, attribution = two_part_features()
    assert np.array_equal(principal_mask(features, attribution, 0.5), principal_mask(-9 * features, attribution, 0.5))
    assert not principal_mask(features, np.zeros((64, 64), np.float32), 0.5).any()
    assert not principal_mask(np.zeros_like(features), attribution, 0.5).any()


def test_touched_keeps_whole_parts() -> None:
    parts = block(2, 10, 2, 10) | block(30, 40, 30, 40)
    assert np.array_equal(touched(parts, block(5, 6, 5, 6)), block(2, 10, 2, 10))


def test_patch_tokens_of_a_frozen_encoder_make_a_map(clip_folder: Path) -> None:
    features = Features(clip_folder)
    maps = features(drawn(0).image)
    assert maps.shape == (16, 4, 4) and np.isfinite(maps).all()
    mirrored = features(drawn(0).image[:, ::-1].copy())
    assert not np.allclose(maps, mirrored)
    found = Principal(features, 0.4, OFF)({0: drawn(0)})[0]
    assert found.mask.shape == (64, 64) and found.candidates is None


def test_features_are_the_patch_tokens_themselves_without_the_class_token(clip_folder: Path) -> None:
    """At the encoder's own size nothing is resized or normalised on the way: the published preprocessing by hand."""
    image = np.random.default_rng(0).integers(0, 256, (32, 32, 3)).astype(np.uint8)
    processor = CLIPImageProcessor.from_pretrained(clip_folder)
    pixels = (image / 255 - np.array(processor.image_mean)) / np.array(processor.image_std)
    encoder = CLIPModel.from_pretrained(clip_folder).vision_model.eval()
    with torch.no_grad():
        tokens = encoder(pixel_values=torch.from_numpy(pixels).permute(2, 0, 1)[None].float()).last_hidden_state[0]
    assert len(tokens) == 17
    expected = tokens[1:].numpy().reshape(4, 4, 16).transpose(2, 0, 1)
    assert Features(clip_folder)(image) == pytest.approx(expected, abs=1e-4)


def resnet(folder: Path) -> None:
    """As Hugging Face saves one, its processor with a shortest edge alone."""
    torch.manual_seed(0)
    config = ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], layer_type="basic")
    ResNetModel(config).save_pretrained(folder)
    ConvNextImageProcessor(size={"shortest_edge": 64}, crop_pct=0.875).save_pretrained(folder)


def test_the_map_of_a_convolutional_encoder_is_taken_as_it_is(tmp_path: Path) -> None:
    resnet(tmp_path)
    features, one = Features(tmp_path), drawn(0)
    maps = features(one.image)
    processor = ConvNextImageProcessor.from_pretrained(tmp_path)
    pixels = (one.image / 255 - np.array(processor.image_mean)) / np.array(processor.image_std)
    with torch.no_grad():
        model = ResNetModel.from_pretrained(tmp_path).eval()
        expected = model(torch.from_numpy(pixels).permute(2, 0, 1)[None].float()).last_hidden_state[0].numpy()
    assert maps.shape == expected.shape == (16, 8, 8)
    assert maps == pytest.approx(expected, abs=1e-4)
    found = Principal(features, 0.4, OFF)({0: one})[0].mask
    assert found.shape == (64, 64) and found.any() and not found.all()


def test_an_encoder_that_gives_neither_map_nor_patch_tokens_is_a_sentence(clip_folder: Path) -> None:
    features = Features(clip_folder)
    features.patch = None
    with pytest.raises(GraftError, match=r"gives neither a map of features nor a token per patch; params\.yaml refine"):
        features(drawn(0).image)


def test_the_params_reach_the_method_that_they_name(sam_folder: Path, clip_folder: Path) -> None:
    params: dict[str, Any] = {
        "method": "sam", "prompt": "box+points", "negatives": 3, "choose": "agreement", "views": 5, "snap": OFF,
        "batch": 7, "crf": OFF | {"iterations": 2}, "primaps": {"similarity": 0.3},
        "self_attention": {"power": 2, "threshold": 0.7, "uncertain": 0.4},
    }  # fmt: skip
    models = {"model": sam_folder, "primaps.encoder": clip_folder}
    method = open_method(params, models, "cpu")
    assert isinstance(method, Prompted) and isinstance(method.model, Sam)
    told = (method.style, method.negatives, method.choose, method.views, method.snap, method.slots)
    assert told == ("box+points", 3, "agreement", 5, OFF, 7)
    assert open_method(params | {"method": "self_attention"}, {}, "cpu") == OwnAttention(2, 0.7, 0.4)
    principal = open_method(params | {"method": "primaps"}, models, "cpu")
    assert isinstance(principal, Principal) and (principal.similarity, principal.crf["iterations"]) == (0.3, 2)
    assert isinstance(open_method(params | {"method": "attention"}, {}, "cpu"), Attention)


def test_negatives_choice_and_views_each_change_what_is_found() -> None:
    """A model that marks its first points, a pixel each, and trusts the candidate that knows nothing."""

    class Marker:
        def patch(self, image: NDArray[np.uint8]) -> float:
            return 8.0

        def encode(self, images: Sequence[NDArray[np.uint8]]) -> list[Encoded]:
            return [Encoded(image, None) for image in images]

        def ask(self, encoded: Encoded, question: Prompt) -> Candidates:
            bright = np.where(encoded.image.mean(axis=2) > 100, 4.0, -4.0)
            logits = np.stack([np.full_like(bright, -4.0), bright, np.full_like(bright, -4.0)])
            logits[0, 0, : (question.labels == 0).sum()] = 4.0
            return Candidates(logits.astype(np.float32), np.array([0.9, 0.5, 0.1], np.float32))

    def found(negatives: int, choose: Any, views: int) -> NDArray[np.bool_]:
        return Prompted(Marker(), "cross", negatives, choose, views, OFF, 1)({0: drawn(0)})[0].mask

    assert [found(n, "predicted_iou", 1).sum() for n in (0, 1, 2)] == [0, 1, 2]
    assert np.array_equal(found(0, "agreement", 1), drawn(0).seed)
    assert np.array_equal(found(0, "agreement", 8), drawn(0).seed), "what is moved and mirrored comes back"
    assert found(2, "predicted_iou", 2).sum() == 0, "the second view's marks lie at the other end: they do not add up"


# ---- views, slots, snap ----


@pytest.mark.parametrize("view", views(16, 4.0))
def test_what_a_view_does_its_way_back_undoes(view: View) -> None:
    image = np.random.default_rng(0).integers(0, 256, (20, 30, 3)).astype(np.uint8)
    plane = image[None, ..., 0].astype(np.float32)
    looked = view.look(image)[None, ..., 0].astype(np.float32)
    assert np.array_equal(view.back(looked)[:, 3:-3, 3:-3], plane[:, 3:-3, 3:-3])


@pytest.mark.parametrize("view", views(16, 4.0))
def test_a_prompt_moves_with_the_image(view: View) -> None:
    image = np.zeros((20, 30, 3), np.uint8)
    image[9:12, 13] = 255
    asked = view.point(on_object(np.array([[13.0, 10.0]])), 30)
    (x, y), looked = asked.points[0].astype(int), view.look(image)
    assert looked[y, x].all() and looked[y - 1, x].all() and looked[y + 1, x].all()
    box = view.point(prompt(image[..., 0] > 0, "box"), 30).box
    rows, columns = np.nonzero(looked[..., 0])
    assert box is not None and box.tolist() == [columns.min(), rows.min(), columns.max(), rows.max()]


def test_views_are_all_different_and_the_first_is_the_image() -> None:
    assert views(1, 4.0) == [View(0, 0, False)]
    assert len(set(views(16, 4.0))) == 16
    assert [view.mirrored for view in views(4, 4.0)] == [False, True, False, True]


def test_candidates_vote_each_with_its_like() -> None:
    one, other = (Candidates(np.full((3, 2, 2), v, np.float32), np.array([v, 0, 1], np.float32)) for v in (1.0, -3.0))
    found = vote([one, other])
    assert (found.logits == -1.0).all() and found.predicted_iou.tolist() == [-1.0, 0.0, 1.0]
    assert vote([one]) is one


def test_which_others_share_a_batch_changes_no_bit(sam_folder: Path) -> None:
    """A resumed run makes one of a batch's samples alone."""
    method = Prompted(Sam(sam_folder), "cross", 0, "predicted_iou", 2, OFF, 3)
    batch = {0: drawn(0), 1: drawn(1), 2: drawn(2)}
    together, alone = method(batch), method({1: batch[1]})
    assert together[1].candidates is not None and alone[1].candidates is not None
    assert together[1].candidates.logits.tobytes() == alone[1].candidates.logits.tobytes()
    assert method({}) == {}


def test_one_view_without_snap_is_the_published_line(sam_folder: Path) -> None:
    sam, one = Sam(sam_folder), drawn(0)
    found = Prompted(sam, "cross", 0, "predicted_iou", 1, OFF, 1)({0: one})[0]
    answer = sam.ask(sam.encode([one.image])[0], prompt(one.seed, "cross"))
    assert np.array_equal(found.mask, answer.masks[answer.trusted()])


def test_snap_moves_a_blurred_edge_to_the_images() -> None:
    """A model that is right but for a rim of four pixels, of which it is not sure."""

    class Blurred:
        def patch(self, image: NDArray[np.uint8]) -> float:
            return 4.0

        def encode(self, images: Sequence[NDArray[np.uint8]]) -> list[Encoded]:
            return [Encoded(image, None) for image in images]

        def ask(self, encoded: Any, question: Any) -> Candidates:
            sure = np.where(block(20, 44, 12, 50), 4.0, np.where(block(16, 48, 8, 54), 0.5, -4.0))
            return Candidates(np.repeat(sure[None].astype(np.float32), 3, 0), np.ones(3, np.float32))

    truth = block(20, 44, 12, 50)
    plain, snapped = (
        Prompted(Blurred(), "cross", 0, "predicted_iou", 1, OFF | {"iterations": n}, 1)({0: drawn(0)})[0].mask
        for n in (0, 5)
    )
    assert np.array_equal(plain, block(16, 48, 8, 54))
    assert np.mean(snapped != truth) < 0.01


def test_attention_is_the_seed() -> None:
    one = drawn(0)
    assert np.array_equal(Attention()({0: one})[0].mask, one.seed)


# ---- doubt ----


def test_the_ring_lies_on_both_sides_of_the_edge() -> None:
    mask = block(20, 40, 20, 40)
    found = ring(mask, 2)
    assert found[20, 30] and found[18, 30] and not found[17, 30] and found[21, 30] and not found[22, 30]
    assert not ring(mask, 0).any()


def test_only_what_is_disputed_in_the_ring_is_doubt() -> None:
    mask, wider, far = block(20, 40, 20, 40), block(19, 40, 20, 40), block(0, 5, 0, 5) | block(20, 40, 20, 40)
    assert np.array_equal(doubted(mask, [wider, far], 2), block(19, 20, 20, 40))
    assert not doubted(mask, [mask], 2).any()


def test_alpha_is_the_share_of_opinions_in_the_ring_and_hard_elsewhere() -> None:
    mask, wider = block(20, 40, 20, 40), block(19, 40, 20, 40)
    found = alpha(mask, [wider], 2)
    assert (found[19, 30], found[20, 30], found[30, 30], found[0, 0]) == (128, 255, 255, 0)
    assert np.array_equal(alpha(mask, [wider], 0), mask * np.uint8(255))


# ---- hash and entropy ----


def test_alike_pictures_have_alike_hashes() -> None:
    image = np.random.default_rng(0).integers(0, 256, (8, 8, 3)).astype(np.uint8).repeat(8, 0).repeat(8, 1)
    other = np.random.default_rng(1).integers(0, 256, (8, 8, 3)).astype(np.uint8).repeat(8, 0).repeat(8, 1)

    def distance(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> int:
        return (int(phash(a), 16) ^ int(phash(b), 16)).bit_count()

    assert distance(image, np.clip(image.astype(int) + 9, 0, 255).astype(np.uint8)) <= 4
    assert distance(image, other) > 15
    assert len(phash(image)) == 16


def test_entropy_is_one_for_ignorance_and_zero_for_certainty() -> None:
    assert normalised(torch.full((5, 1, 1), 0.2, dtype=torch.float64)).item() == pytest.approx(1.0)
    assert normalised(torch.tensor([1.0, 0.0], dtype=torch.float64)[:, None, None]).item() == 0.0
    p = torch.tensor([0.75, 0.25], dtype=torch.float64)[:, None, None]
    assert normalised(p).item() == pytest.approx(-(0.75 * np.log2(0.75) + 0.25 * np.log2(0.25)))
