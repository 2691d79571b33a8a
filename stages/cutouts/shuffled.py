"""The control `shuffled`: what is left of the gain when the cutouts are real but their labels are not?"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np


def shuffle_labels(labels: Mapping[str, str], generator: np.random.Generator) -> dict[str, str]:
    """uid -> class, permuted among the uids so that as few as possible keep their class.

    None does, unless one class has more than half of all; then exactly the surplus does (with a single class,
    all). Each class keeps its number of labels.
    """
    uids = sorted(labels)
    names, own = np.unique([labels[uid] for uid in uids], return_inverse=True)
    given = generator.permutation(own)
    for index in np.flatnonzero(given == own):
        # A partner that neither is nor was given the class helps both, and one exists while too many keep it.
        partners = np.flatnonzero((own != own[index]) & (given != own[index]))
        if given[index] == own[index] and partners.size:
            partner = generator.choice(partners)
            given[[index, partner]] = given[[partner, index]]
    return {uid: str(names[label]) for uid, label in zip(uids, given, strict=True)}
