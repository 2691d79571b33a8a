"""The texts among which CLIP chooses when it is asked what an object is."""

from __future__ import annotations

# The rivals are fixed, not params `classes`: adding a class must not change, and so remake, the scores of the
# others. They are the things that a street object is most easily mistaken for.
RIVALS = ("person", "car", "truck", "bus", "train")


def names(name: str) -> tuple[str, ...]:
    """The class first, then its rivals."""
    return (name, *(rival for rival in RIVALS if rival != name))


def texts(name: str) -> list[str]:
    """One "a photo of a ..." for the class, first, and for each rival."""
    return [f"a photo of a {candidate}" for candidate in names(name)]
