"""Random streams: every random choice of a run belongs to (seed, draw, purpose), and to nothing else.

A draw is the number of a training pair since the start of the run: iteration * batch + place in the batch.
Hence workers, resuming and one augmentation more or less never change the others. Two recipes with one seed see the
same flips and colours, and without rare class sampling the same images: they differ by their cutouts alone. With it the
cutouts' classes are rare classes too, and an image is drawn for the sake of one.
"""

from __future__ import annotations

from zlib import crc32

import numpy as np


def stream(seed: int, draw: int, purpose: str) -> np.random.Generator:
    """The generator of one purpose ("paste", "flip", ...) in one draw. seed and draw are >= 0."""
    return np.random.default_rng([seed, draw, crc32(purpose.encode())])
