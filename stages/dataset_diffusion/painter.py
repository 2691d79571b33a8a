"""A worker that draws pictures of several classes, each with the maps of its class words.

A picture always sits in the same slot of a full block of the table, and a block that lacks a picture is drawn whole: so
its bits never depend on which others were there already, or on which worker drew it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.dataset_diffusion.params import Generate


@dataclass(frozen=True)
class Task:
    """One picture to be drawn: the uid of its sample, the text that the model reads, the class prompt, the tokens of
    each of its words, and the seed of its own generator."""

    uid: str
    prompt: str
    class_prompt: str
    spans: tuple[tuple[int, ...], ...]
    noise: int


@dataclass(frozen=True)
class Drawing:
    """image: (H, W, 3) uint8 RGB; maps: (T, K, h, w) float32 in [0, 1], of each power and class word; peaks: see
    WordMaps; rejected: "" or why the picture is of no use."""

    image: NDArray[np.uint8]
    maps: NDArray[np.float32]
    peaks: list[float]
    rejected: str


def blocks(tasks: Sequence[Task], wanted: Collection[str], batch: int) -> list[list[Task]]:
    """The blocks of `batch` tasks, in order, of which a uid is wanted; the last may be shorter."""
    whole = [list(tasks[start : start + batch]) for start in range(0, len(tasks), batch)]
    return [block for block in whole if any(task.uid in wanted for task in block)]


@dataclass(frozen=True)
class Painter:
    """What a worker needs: the model's folder, how pictures are sampled, and the powers tau of their maps."""

    folder: Path
    settings: Generate
    powers: tuple[int, ...]

    def __call__(self, device: str) -> Callable[[list[Task]], list[tuple[str, Drawing]]]:
        """Load the model; the function that draws a block, (uid, drawing) of each task."""
        from stages.parts.pretrained.pipeline import open_pipeline  # here: a run that keeps everything loads no torch

        pipe = open_pipeline(self.folder, self.settings.dtype, device)
        return lambda tasks: [(task.uid, one) for task, one in zip(tasks, self.draw(pipe, tasks), strict=True)]

    def draw(self, pipe: Any, tasks: Sequence[Task]) -> list[Drawing]:
        """The drawings of a block. The class prompts give keys to the recorder alone: no pixel depends on them."""
        from stages.parts.pretrained.pipeline import pictures
        from stages.parts.recording import unet
        from stages.parts.recording.class_maps import ClassMaps, word_maps
        from stages.parts.recording.recorder import listening

        how = self.settings
        recorded = ClassMaps(
            len(tasks), unet.latent_size(pipe, how.height, how.width), unet.halvings(pipe.unet),
            self_halvings=how.self_halvings, cross_halvings=how.cross_halvings,
        )  # fmt: skip
        taps = recorded.taps(
            unet.self_attention(pipe.unet, middle=True),
            unet.cross_attention(pipe.unet, middle=True),
            unet.embed_padded(pipe, [task.class_prompt for task in tasks]),
        )
        with listening(taps):
            images = pictures(
                pipe, [task.prompt for task in tasks], [task.noise for task in tasks], negative=how.negative,
                steps=how.steps, guidance=how.guidance, height=how.height, width=how.width,
            )  # fmt: skip
        found = word_maps(recorded, [task.spans for task in tasks], self.powers)
        return [
            drawing(image, one.maps.numpy(), one.peaks.tolist(), one.flat, one.finite)
            for image, one in zip(images, found, strict=True)
        ]


def drawing(
    image: NDArray[np.float32], maps: NDArray[np.float32], peaks: list[float], flat: bool, finite: bool
) -> Drawing:
    """A finished picture from (H, W, 3) values in [0, 1]; what is not finite becomes 0.

    `rejected` is the first of these that holds: non_finite_image, constant_image (such as a safety checker's black
    one), non_finite_map, flat_map (a word whose map has no contrast: its object would be labelled background)."""
    known = np.isfinite(image)
    pixels = (np.where(known, image, np.float32(0)) * 255).round().astype(np.uint8)
    reasons = {
        "non_finite_image": not known.all(),
        "constant_image": (pixels == pixels[0, 0]).all(),
        "non_finite_map": not finite,
        "flat_map": flat,
    }
    return Drawing(pixels, maps, peaks, next((reason for reason, holds in reasons.items() if holds), ""))
