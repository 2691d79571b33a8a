"""What is kept of a model is the model, at half the size; and the figures say what they are said to say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModel, Dinov2Config, Dinov2Model

from stages.miniature import book
from stages.miniature.book import Book
from stages.parts.pretrained.sam import Sam
from stages.release.__main__ import halved
from stages.release.cutting import sam_among_others, sam_iou
from stages.release.pairs import both_shown, sheet

ROOT = Path(__file__).parents[2]


def test_a_halved_model_opens_as_float32_and_says_nearly_the_same(tmp_path: Path) -> None:
    torch.manual_seed(0)
    config = Dinov2Config(hidden_size=32, num_hidden_layers=1, num_attention_heads=2, image_size=16, patch_size=4)
    whole = Dinov2Model(config).eval()
    whole.save_pretrained(tmp_path / "made")
    halved(tmp_path / "made", tmp_path / "kept")
    kept = AutoModel.from_pretrained(tmp_path / "kept").eval()
    sizes = [(tmp_path / name / "model.safetensors").stat().st_size for name in ("made", "kept")]
    assert sizes[1] < 0.6 * sizes[0]
    assert {value.dtype for value in kept.parameters()} == {torch.float32}
    pixels = torch.rand(1, 3, 16, 16)
    with torch.no_grad():
        found = [each(pixel_values=pixels).last_hidden_state for each in (whole, kept)]
    torch.testing.assert_close(found[0], found[1], atol=2e-2, rtol=2e-2)


@pytest.fixture
def groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Book:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(book, "EDITIONS", {"heldout": (3, 2)})
    monkeypatch.setattr(book, "GROUPS", {"groups_heldout": (3, 4)})
    book.main([])
    return Book("groups_heldout")


def test_sam_is_asked_about_every_object_of_a_page(groups: Book, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stages.release.cutting.PAGES", 3)
    sam = Sam(ROOT / "models/miniature/sam")
    found = sam_among_others(sam, groups)
    assert set(found) == {"cross", "box", "point", "point_gives_its_own"}
    assert all(0 <= value <= 1 for value in found.values())
    single = sam_iou(sam, Book("heldout"))
    assert single["cross"] > 0.6, "one object is what it was trained on"


def test_a_drawing_that_shows_one_of_two_is_not_one_that_shows_both() -> None:
    image = np.zeros((8, 8, 3), np.uint8)
    seen = iter([{"bus", "car"}, {"bus"}, {"train"}, {"bus", "car", "train"}])
    found = both_shown(lambda _: next(seen), [(image, ("bus", "car"))] * 4)
    assert found == {"both": 0.5, "one": 0.75, "other": 0.5}


def test_the_contact_sheet_shows_64() -> None:
    assert sheet([np.zeros((64, 64, 3), np.uint8)] * 70).size == (1024, 1024)
