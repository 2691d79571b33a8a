"""The SAM adapter: sizes from the folder, three masks at image size, the best by predicted IoU."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from transformers import SamModel, SamProcessor

from stages.parts.errors import GraftError
from stages.parts.masks.points import Points
from stages.parts.masks.sam_prompts import on_object
from stages.parts.pretrained.promptable import Candidates, Promptable
from stages.parts.pretrained.sam import Sam
from stages.parts.pretrained.weights import locate

POINTS = np.array([(20.0, 30.0), (20.0, 33.0), (26.5, 30.0), (20.0, 27.0), (13.5, 30.0)])


def picture(height: int, width: int, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def ask(sam: Promptable, image: NDArray[np.uint8], points: Points = POINTS) -> Candidates:
    return sam.ask(sam.encode([image])[0], on_object(points))


@pytest.mark.parametrize(("height", "width"), [(64, 64), (48, 80), (100, 60), (64, 128)])
def test_three_masks_lie_at_image_size_whatever_its_shape(sam_folder: Path, height: int, width: int) -> None:
    candidates = ask(Sam(sam_folder), picture(height, width))
    assert candidates.logits.shape == (3, height, width)
    assert candidates.logits.dtype == np.float32
    assert candidates.predicted_iou.shape == (3,)
    assert candidates.masks.shape == (3, height, width)
    assert candidates.masks.dtype == np.bool_


def test_masks_are_those_of_the_published_recipe(sam_folder: Path) -> None:
    """Embeddings first, then the points, then the processor's own thresholding, as transformers has it."""
    image = picture(48, 80)
    model, processor = SamModel.from_pretrained(sam_folder).eval(), SamProcessor.from_pretrained(sam_folder)
    inputs = processor(image, input_points=[POINTS.tolist()], return_tensors="pt")
    with torch.no_grad():
        embeddings = model.get_image_embeddings(inputs["pixel_values"])
        outputs = model(image_embeddings=embeddings, input_points=inputs["input_points"])
    published = processor.image_processor.post_process_masks(
        outputs.pred_masks, inputs["original_sizes"], inputs["reshaped_input_sizes"]
    )
    expected = published[0][0].numpy()
    candidates = ask(Sam(sam_folder), image)
    assert np.array_equal(candidates.logits > 0, expected)
    assert np.array_equal(candidates.predicted_iou, outputs.iou_scores[0, 0].numpy())
    assert 0 < expected.mean() < 1, "a random SAM whose masks are all empty or full would prove nothing"


def test_trusted_is_the_highest_predicted_iou_and_the_first_of_equals() -> None:
    logits = np.stack([np.full((2, 2), value, np.float32) for value in (-1.0, 2.0, 3.0)])
    assert Candidates(logits, np.array([0.1, 0.9, 0.3], np.float32)).trusted() == 1
    assert Candidates(logits, np.array([0.9, 0.1, 0.9], np.float32)).trusted() == 0


def test_agreeing_is_the_candidate_most_like_the_seed() -> None:
    seed = np.array([[True, False], [False, False]])
    logits = np.stack([np.full((2, 2), 1.0), np.where(seed, 1.0, -1.0), np.full((2, 2), -1.0)]).astype(np.float32)
    assert Candidates(logits, np.array([0.9, 0.1, 0.3], np.float32)).agreeing(seed) == 1


def test_logit_zero_is_background() -> None:
    assert not Candidates(np.zeros((3, 2, 2), np.float32), np.zeros(3, np.float32)).masks.any()


def test_what_came_before_never_changes_a_result(sam_folder: Path) -> None:
    """A resumed run, which starts in the middle, must give the bytes of an unbroken one."""
    image, other = picture(64, 64), picture(64, 64, seed=1)
    used = Sam(sam_folder)
    first = ask(used, image)
    ask(used, other, POINTS[:1])
    for again in (ask(used, image), ask(Sam(sam_folder), image)):
        assert again.logits.tobytes() == first.logits.tobytes()
        assert again.predicted_iou.tobytes() == first.predicted_iou.tobytes()


def test_points_are_x_then_y(sam_folder: Path) -> None:
    """In an image wider than high, the last pixel keeps its place, and (y, x) is another point."""
    sam = Sam(sam_folder)
    inputs = sam.processor(picture(32, 64), input_points=[[[63.0, 31.0]]], return_tensors="pt")
    assert inputs["input_points"].tolist() == [[[[63.0, 31.0]]]]
    right, below = (ask(sam, picture(32, 64), np.array([point])) for point in ((60.0, 5.0), (5.0, 60.0)))
    assert not np.array_equal(right.logits, below.logits)


def test_a_processor_of_another_size_is_refused(mismatched_sam_folder: Path) -> None:
    with pytest.raises(GraftError, match=r"64 px but its processor's config says \[1024\]"):
        Sam(mismatched_sam_folder)


def test_missing_weights_are_one_sentence_with_the_param(tmp_path: Path) -> None:
    with pytest.raises(GraftError, match=r"refine\.sam: 'models/miniature/none' is neither a folder"):
        locate("models/miniature/none", "refine.sam")
    with pytest.raises(GraftError, match=r"refine\.sam: 'nobody/no-such-model' is neither"):
        locate("nobody/no-such-model", "refine.sam")
    with pytest.raises(GraftError, match=r"has no readable config.json"):
        Sam(tmp_path)
