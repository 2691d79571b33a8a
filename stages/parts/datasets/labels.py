"""Label spaces: the names, ids and colours of the classes, in one table each."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stages.parts.errors import GraftError

IGNORE = 255


@dataclass(frozen=True)
class LabelSpace:
    """An ordered set of classes; the position of a class is its train id. IGNORE (255) belongs to none of them."""

    title: str
    table: tuple[tuple[str, tuple[int, int, int]], ...]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(name for name, _ in self.table)

    @property
    def palette(self) -> NDArray[np.uint8]:
        """(classes, 3) uint8 RGB."""
        return np.array([colour for _, colour in self.table], dtype=np.uint8)

    def id(self, name: str) -> int:
        """Train id of a class. Raises GraftError for a name that the space lacks."""
        if name not in self.names:
            raise GraftError(f"{self.title} has no class {name!r}; it has {', '.join(self.names)}")
        return self.names.index(name)

    def colourise(self, label: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """(H, W) uint8 train ids -> (H, W, 3) uint8 RGB. IGNORE and every id outside the space become black."""
        lookup = np.zeros((256, 3), dtype=np.uint8)
        lookup[: len(self.table)] = self.palette
        return lookup[label]


CITYSCAPES = LabelSpace(
    "Cityscapes (19 train ids)",
    (
        ("road", (128, 64, 128)),
        ("sidewalk", (244, 35, 232)),
        ("building", (70, 70, 70)),
        ("wall", (102, 102, 156)),
        ("fence", (190, 153, 153)),
        ("pole", (153, 153, 153)),
        ("traffic light", (250, 170, 30)),
        ("traffic sign", (220, 220, 0)),
        ("vegetation", (107, 142, 35)),
        ("terrain", (152, 251, 152)),
        ("sky", (70, 130, 180)),
        ("person", (220, 20, 60)),
        ("rider", (255, 0, 0)),
        ("car", (0, 0, 142)),
        ("truck", (0, 0, 70)),
        ("bus", (0, 60, 100)),
        ("train", (0, 80, 100)),
        ("motorcycle", (0, 0, 230)),
        ("bicycle", (119, 11, 32)),
    ),
)

# Classes that Cityscapes lacks, a line each, such as ("tram", (0, 120, 200)): the first has train id 19, the next 20.
# The networks have an output for each, so whatever holds weights or labels is made anew.
ADDED: tuple[tuple[str, tuple[int, int, int]], ...] = ()

LABELS = LabelSpace("Cityscapes with ADDED of parts/datasets/labels.py", CITYSCAPES.table + ADDED)
