"""What a promptable model answers, whichever it is, and which of its masks is taken."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from stages.parts.masks.contour import Mask
from stages.parts.masks.sam_prompts import Prompt
from stages.parts.masks.scores import agreement

Image = NDArray[np.uint8]

# SAM's mask is where its logit is above 0.
MASK_THRESHOLD = 0.0


@dataclass(frozen=True)
class Candidates:
    """The masks for one prompt: logits (3, H, W) float32 at image size, predicted_iou (3,) float32."""

    logits: NDArray[np.float32]
    predicted_iou: NDArray[np.float32]

    @property
    def masks(self) -> NDArray[np.bool_]:
        """(3, H, W) bool. Each may be empty."""
        return self.logits > MASK_THRESHOLD

    def trusted(self) -> int:
        """The candidate of the highest predicted IoU, as published; the first of equals."""
        return int(np.argmax(self.predicted_iou))

    def agreeing(self, seed: Mask) -> int:
        """The candidate whose IoU with the (H, W) bool seed is the highest; the first of equals."""
        return int(np.argmax([agreement(mask, seed) for mask in self.masks]))


# Which of the candidates for an (H, W) bool seed is taken, by name.
CHOICES: dict[str, Callable[[Candidates, Mask], int]] = {
    "predicted_iou": lambda candidates, seed: candidates.trusted(),
    "agreement": lambda candidates, seed: candidates.agreeing(seed),
}


@dataclass(frozen=True)
class Encoded:
    """An image, (H, W, 3) uint8 RGB, what the model's image encoder makes of it, in the model's own form, and the
    (height, width) that the image was brought to for it."""

    image: Image
    embedding: Any
    scaled: tuple[int, int]


class Promptable(Protocol):
    """A model that is loaded once, encodes images in batches, and answers prompts about one of them."""

    def patch(self, image: Image) -> float:
        """The side of one of the encoder's patches, in pixels of such an image."""
        ...

    def encode(self, images: Sequence[Image]) -> list[Encoded]: ...

    def ask(self, encoded: Encoded, prompt: Prompt) -> Candidates: ...
