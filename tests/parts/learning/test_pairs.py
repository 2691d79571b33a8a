"""The paired dataset: every draw by its number, image and label together, no label of the target."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from stages.parts.datasets.labels import LABELS
from stages.parts.learning.branches import Branch, BranchedDataset
from stages.parts.learning.transforms import Flip
from stages.parts.store.samples import Shards
from tests.train.conftest import write_scenes

pytestmark = pytest.mark.usefixtures("root")


def dataset(seed: int = 0, flip: float = 0.5) -> BranchedDataset:
    source = Branch(Shards("data/scenes/source"), [Flip(flip)], LABELS)
    return BranchedDataset({"source": source, "target": Branch(Shards("data/scenes/target"), [Flip(flip)])}, 60, seed)


def test_a_label_that_lies_by_the_target_all_the_same_is_not_opened(root: Path):
    write_scenes(root, "target", 5, labelled=True)
    pair = dataset()[0]["data_samples"]
    assert "gt_sem_seg" in pair["source"]
    assert "gt_sem_seg" not in pair["target"]


def test_every_pass_shows_every_image_once_in_a_new_order():
    uids = [dataset()[draw]["data_samples"]["source"].uid for draw in range(18)]
    passes = [uids[0:6], uids[6:12], uids[12:18]]
    assert all(len(set(one)) == 6 for one in passes)
    assert len({tuple(one) for one in passes}) > 1
    assert uids != [dataset(seed=1)[draw]["data_samples"]["source"].uid for draw in range(18)]


def test_a_draw_is_the_same_in_whatever_order_it_is_asked_for():
    first, again = [dataset()[draw] for draw in (4, 9)], [dataset()[draw] for draw in (9, 4)]
    for one, other in zip(first, reversed(again), strict=True):
        for side in ("source", "target"):
            assert torch.equal(one["inputs"][side], other["inputs"][side])


def test_flipping_keeps_image_and_label_together():
    for draw in range(4):
        plain, mirrored = dataset(flip=0)[draw], dataset(flip=1)[draw]
        assert torch.equal(plain["inputs"]["source"].flip(2), mirrored["inputs"]["source"])
        labels = [pair["data_samples"]["source"].gt_sem_seg.data for pair in (plain, mirrored)]
        assert torch.equal(labels[0].flip(2), labels[1])
