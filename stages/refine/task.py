"""A worker's order: which samples are refined together, and what a worker needs to refine them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stages.parts.store.shards import Shards
from stages.refine.params import Refine

if TYPE_CHECKING:
    from stages.refine.entropy import Certainty

Block = dict[int, str]  # slot in the batch -> uid
Made = tuple[str, dict[str, Any], dict[str, bytes]]  # uid, row, files


def blocks(uids: Iterable[str], batch: int) -> Iterator[Block]:
    """Slot -> uid of each batch. A sample's slot is its number modulo the batch, whichever others are missing; one
    without a number, such as an imported "bus-city-1", is alone in slot 0."""
    found: dict[tuple[str, int], Block] = {}
    for uid in uids:
        name, _, digits = uid.rpartition("-")
        if digits.isdecimal() and digits == f"{int(digits):06d}":
            found.setdefault((name, int(digits) // batch), {})[int(digits) % batch] = uid
        else:
            found[uid, -1] = {0: uid}
    yield from found.values()


@dataclass(frozen=True)
class Refinery:
    """What a worker needs to refine blocks: the folder of the generated samples, which it reads itself, so that no
    picture travels twice; the section's values, and where its models lie; CLIP's texts; and where they run, if that
    is not the worker's own device."""

    folder: Path
    params: Refine
    models: Mapping[str, Path]
    texts: Sequence[str]
    device: str | None = None

    def __call__(self, device: str) -> Callable[[Block], list[Made]]:
        """Load the models; the function that refines a block. A sample that `generate` rejected keeps that reason."""
        from stages.parts.pretrained.clip import Clip  # here, for a run that keeps everything needs no torch
        from stages.refine.methods import open_method
        from stages.refine.refiner import Refiner
        from stages.refine.sample import raw, written

        place, params, generated = self.device or device, self.params, Shards(self.folder)
        clip = Clip(self.models["clip"], list(self.texts), place)
        method = open_method(params.model_dump(), self.models, place)
        certainty = certain(self.models["segmenter"], place) if "segmenter" in self.models else None
        refiner = Refiner(method, clip, params.threshold, params.crf.model_dump(), params.ring, certainty)
        rejected = {row["uid"]: row.get("rejected", "") for row in generated.rows}

        def refine(block: Block) -> list[Made]:
            files = {uid: generated.read(uid) for uid in block.values()}
            found = refiner({s: raw(generated.folder, uid, files[uid], rejected[uid]) for s, uid in block.items()})
            return [(uid, *written(files[uid]["image.png"], found[slot])) for slot, uid in block.items()]

        return refine


def certain(weights: Path, device: str) -> Certainty:
    from stages.refine.entropy import Certainty  # here, for mmseg takes seconds to load and is seldom needed

    return Certainty(weights, device)
