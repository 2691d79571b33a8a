"""The control `shuffled`: what is left of the gain when the cutouts are real but their labels are not?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import numpy as np

# Swaps per label; a few are enough for a label to lie anywhere.
SWEEPS = 10


def shuffle_labels(labels: Mapping[str, str], generator: np.random.Generator) -> dict[str, str]:
    """uid -> class, permuted among the uids so that as few as possible keep their class.

    None does, unless one class has more than half of all; then exactly the surplus does (with a single class,
    all). Each class keeps its number of labels.
    """
    uids = sorted(labels, key=lambda uid: (labels[uid], uid))
    own = [labels[uid] for uid in uids]
    # Sorted by class and turned by the largest class, no block meets itself but for that class's surplus ...
    given = _turned(own, max(Counter(own).values(), default=0))
    # ... and swaps that give nobody its own class back turn that one solution into a random one.
    for first, second in generator.integers(len(own), size=(SWEEPS * len(own), 2)) if own else ():
        if own[first] != given[second] and own[second] != given[first]:
            given[first], given[second] = given[second], given[first]
    return dict(zip(uids, given, strict=True))


def _turned(values: list[str], by: int) -> list[str]:
    return values[by:] + values[:by]
