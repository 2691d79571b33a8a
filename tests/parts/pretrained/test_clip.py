"""The class score: the class first among its rivals, the object alone on grey, one probability per text."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from transformers import CLIPModel, CLIPProcessor

from stages.parts.pretrained.clip import GREY, Clip, isolate
from stages.parts.prompts.zero_shot import names, texts


def test_the_class_comes_first_and_only_once() -> None:
    assert names("bus") == ("bus", "person", "car", "truck", "train")
    assert texts("rider")[0] == "a photo of a rider"
    assert len(texts("rider")) == 6


def test_probabilities_are_those_of_the_whole_model(clip_folder: Path) -> None:
    """The cached text features give what one forward pass over text and image gives."""
    clip = Clip(clip_folder, texts("bus"))
    image = np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    inputs = CLIPProcessor.from_pretrained(clip_folder)(
        text=texts("bus"), images=Image.fromarray(image), return_tensors="pt", padding=True
    )
    expected = CLIPModel.from_pretrained(clip_folder)(**inputs).logits_per_image[0].softmax(-1)
    assert clip(image) == pytest.approx(expected.detach().numpy(), abs=1e-6)
    assert clip(image).sum() == pytest.approx(1.0, abs=1e-12)
    assert np.ptp(clip(image)) > 1e-3, "a model that tells no text from another would prove nothing"


def test_the_background_cannot_change_the_score(clip_folder: Path) -> None:
    clip = Clip(clip_folder, texts("bus"))
    image = np.random.default_rng(0).integers(0, 256, (32, 48, 3), dtype=np.uint8)
    mask = np.zeros((32, 48), bool)
    mask[10:20, 5:40] = True
    repainted = np.where(mask[..., None], image, np.uint8(7))
    assert clip.class_scores(image, mask) == clip.class_scores(repainted, mask)
    assert clip.class_scores(image, mask) != clip.class_scores(255 - image, mask)


def test_the_margin_is_over_the_strongest_rival(clip_folder: Path) -> None:
    image, mask = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8), np.ones((32, 32), bool)
    clip = Clip(clip_folder, texts("bus"))
    probabilities = clip(isolate(image, mask))
    found = clip.class_scores(image, mask)
    assert found["class_score"] == probabilities[0]
    assert found["class_margin"] == probabilities[0] - probabilities[1:].max()


def test_a_long_object_is_padded_to_a_square_so_that_no_end_is_cut() -> None:
    image = np.full((20, 30, 3), 200, np.uint8)
    mask = np.zeros((20, 30), bool)
    mask[5:9, 2:12] = True
    square = isolate(image, mask)
    assert square.shape == (10, 10, 3)
    assert (square[3:7] == 200).all()
    assert (square[:3] == GREY).all() and (square[7:] == GREY).all()
