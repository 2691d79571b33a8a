"""Random streams: every random choice belongs to what it is for, and to nothing else.

A sample is its class and its seed; a training draw is the number of an item since the start of the run: iteration *
batch + place in the batch. Hence count, order, batch, workers, resuming and one augmentation more or less never change
the others. Two recipes with one seed see the same flips and colours, and without rare class sampling the same images:
they differ by their cutouts alone. With it the cutouts' classes are rare classes too, and an image is drawn for the
sake of one.
"""

from __future__ import annotations

import hashlib
from zlib import crc32

import numpy as np


def sample_stream(class_name: str, seed: int, purpose: str) -> int:
    """The 64-bit seed of one stream of one sample: the head of sha256(class, seed, purpose).

    Streams of other classes, seeds or purposes are independent of it. `purpose` is "prompt" or "noise". (torch's CPU
    generator keeps the low 32 bits: among 10 000 samples two share their noise with a chance of about one in a
    hundred, and their prompts are still drawn apart.)"""
    return int.from_bytes(hashlib.sha256(repr((class_name, seed, purpose)).encode()).digest()[:8], "big")


def draw_stream(seed: int, draw: int, purpose: str) -> np.random.Generator:
    """The generator of one purpose ("paste", "flip", ...) in one training draw. seed and draw are >= 0."""
    return np.random.default_rng([seed, draw, crc32(purpose.encode())])
