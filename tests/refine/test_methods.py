"""What the params choose of SAM's methods; views, slots and snap around it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from stages.parts.masks.sam_prompts import Prompt, on_object, prompt
from stages.parts.pretrained.promptable import Candidates, Encoded
from stages.parts.pretrained.sam import Sam
from stages.refine.methods import Attention, OwnAttention, Principal, Prompted, open_method
from stages.refine.views import View, views, vote
from tests.refine.drawings import OFF, block, drawn


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
            return [Encoded(image, None, (64, 64)) for image in images]

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
            return [Encoded(image, None, (64, 64)) for image in images]

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
