"""The recipes: which class each kept sample is pasted as, and which mask cuts it out."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from stages.cutouts.blobs import blob


def labels(recipe: str, kept: Mapping[str, str], seed: int) -> dict[str, str]:
    """uid -> the class that the cutout is pasted as. `kept`: uid -> the class it was generated for."""
    if recipe == "baseline":
        return {}
    return shuffle_labels(kept, _generator(seed, "labels")) if recipe == "shuffled" else dict(kept)


def recut(recipe: str, uid: str, mask: NDArray[np.bool_], seed: int) -> NDArray[np.bool_]:
    """(H, W) bool: the mask that cuts the sample out; its random stream is its own, whatever else is kept."""
    if recipe != "blobs":
        return mask
    return blob((mask.shape[0], mask.shape[1]), int(np.count_nonzero(mask)), _generator(seed, uid))


def _generator(seed: int, purpose: str) -> np.random.Generator:
    return np.random.default_rng([seed, *hashlib.sha256(f"cutouts {purpose}".encode()).digest()])


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
