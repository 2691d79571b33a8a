"""The same image seen again: mirrored, and moved by parts of a patch, so that a coarse model's answers average out.

A vision transformer sees an image through a grid of patches and answers on a grid; moved by a part of a patch, the same
object falls into other patches. The answers, moved back, vote: test-time augmentation.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.parts.masks.sam_prompts import Prompt
from stages.parts.pretrained.promptable import Candidates, Image

# Right and down, in quarters of a patch, far from one another in this order. Every second view is mirrored; the second
# time through, the others are.
OFFSETS = ((0, 0), (0, -2), (-2, -2), (-2, 0), (-1, 1), (-1, -1), (1, -1), (1, 1))


@dataclass(frozen=True)
class View:
    """An image moved by `right` and `down` pixels, its rim repeated, then mirrored left to right."""

    right: int
    down: int
    mirrored: bool

    def look(self, image: Image) -> Image:
        """(H, W, 3) uint8 as this view sees it."""
        moved = _moved(image, self.right, self.down, axes=(0, 1))
        return np.ascontiguousarray(moved[:, ::-1] if self.mirrored else moved)

    def point(self, prompt: Prompt, width: int) -> Prompt:
        """The prompt for what `look` gives of an image so wide. A point may leave the image by the move."""
        box = None if prompt.box is None else self._places(prompt.box.reshape(2, 2), width)
        if box is not None and self.mirrored:
            box[:, 0] = box[::-1, 0]
        return replace(prompt, points=self._places(prompt.points, width), box=None if box is None else box.reshape(4))

    def back(self, logits: NDArray[np.float32]) -> NDArray[np.float32]:
        """(masks, H, W) logits of this view, where the image itself has them."""
        straight = logits[:, :, ::-1] if self.mirrored else logits
        return _moved(straight, -self.right, -self.down, axes=(1, 2))

    def _places(self, points: NDArray[np.float64], width: int) -> NDArray[np.float64]:
        moved = points + np.array([self.right, self.down])
        if self.mirrored:
            moved[:, 0] = width - 1 - moved[:, 0]
        return moved


def views(count: int, patch: float) -> list[View]:
    """The first `count` views, at most twice the OFFSETS, for patches of so many image pixels; the first is the image
    itself."""
    found = []
    for k in range(count):
        turn, place = divmod(k, len(OFFSETS))
        right, down = (round(quarters * patch / 4) for quarters in OFFSETS[place])
        found.append(View(right, down, mirrored=(k + turn) % 2 == 1))
    return found


def vote(answers: list[Candidates]) -> Candidates:
    """The mean of the candidates, each with its like: masks of one output token mean the same in every view."""
    if len(answers) == 1:
        return answers[0]
    logits = np.stack([one.logits for one in answers]).mean(axis=0)
    return Candidates(logits, np.stack([one.predicted_iou for one in answers]).mean(axis=0))


def _moved(array: NDArray[Any], right: int, down: int, axes: tuple[int, int]) -> NDArray[Any]:
    """The array with its content moved along the axes (vertical, horizontal), the rim repeated."""
    for axis, by in zip(axes, (down, right), strict=True):
        if by:
            places = np.clip(np.arange(array.shape[axis]) - by, 0, array.shape[axis] - 1)
            array = np.take(array, places, axis=axis)
    return array
