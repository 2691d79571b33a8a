"""The colours of label pictures: the label space's, but for novel classes (which are all dark blue in Cityscapes)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from stages.parts.datasets.labels import LabelSpace

BRIGHT = ((255, 240, 120), (255, 105, 50), (0, 235, 235), (255, 255, 255), (170, 255, 0), (255, 0, 130))


def palette(labels: LabelSpace, novel: Sequence[str]) -> NDArray[np.uint8]:
    """(256, 3) uint8 RGB by train id; a seventh novel class has the first one's colour; what is no class is black."""
    table = np.zeros((256, 3), np.uint8)
    table[: len(labels.names)] = labels.palette
    for k, name in enumerate(novel):
        table[labels.id(name)] = BRIGHT[k % len(BRIGHT)]
    return table


def legend(ids: Iterable[int], labels: LabelSpace, novel: Sequence[str]) -> dict[str, NDArray[np.uint8]]:
    """Name -> colour of the train ids, in their order; a novel class says that it is one."""
    table, names = palette(labels, novel), labels.names
    named = [(names[k], table[k]) for k in sorted(ids) if k < len(names)]
    return {f"{name} (novel)" if name in novel else name: colour for name, colour in named}
