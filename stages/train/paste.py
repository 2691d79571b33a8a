"""Pasting cutouts into a labelled source image (UCG, section 3 of its code; its defects P1 to P10 mended)."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Literal

import numpy as np
from mmcv.transforms import BaseTransform
from mmseg.registry import TRANSFORMS
from numpy.typing import NDArray

from stages.samples import Shards, png_array
from stages.train.composite import HARD, Edge, match_colours, paste, plain, resize
from stages.train.place import Box, Scale, anywhere, on_ground
from stages.train.streams import stream

Pixels = NDArray[np.uint8]


class Cutouts(Sequence[Pixels]):
    """The cutouts of one class in a bank: (h, w, 4), with doubt.png (h, w, 5), with alpha.png too (h, w, 6) uint8, read
    when asked for."""

    def __init__(self, bank: Shards, class_name: str) -> None:
        self.bank = bank
        self.uids = [row["uid"] for row in bank.rows if row["class"] == class_name]

    def __len__(self) -> int:
        return len(self.uids)

    def __getitem__(self, index):
        files = self.bank.read(self.uids[index])
        return np.dstack([png_array(files[name]) for name in ("rgba.png", "doubt.png", "alpha.png") if name in files])


@TRANSFORMS.register_module()
class PasteCutouts(BaseTransform):
    """Paste novel objects into a source image; goes into the source pipeline right after loading.

    bank: {train id: its cutouts, see composite.py}; an empty bank pastes nothing.
    per         image: with `probability`, 1 to `max_instances` cutouts. The class is drawn before the cutout: classes
                are balanced, however many cutouts each has. class: each class with `probability`, one cutout [UCG]
    place       ground: see place.on_ground; the near ones hide the far ones. anywhere: the last hide the first [UCG]
    flip        probability of mirroring a cutout
    colour      how far its colours are moved towards the scene's, 0..1
    protected   train ids of classes that are never hidden
    min_visible share of a cutout's box that must be inside of the image, or it is not pasted

    Needs "seed" and "draw" in the results, replaces "img" and "gt_seg_map". If the results want a class of the bank
    ("wanted": (class, pixels), from rare class sampling), it is pasted for sure, before chance decides on more.
    """

    def __init__(
        self,
        bank: Mapping[int, Sequence[Pixels]],
        probability: float,
        per: Literal["image", "class"],
        max_instances: int,
        scale: Scale,
        place: Literal["ground", "anywhere"],
        flip: float,
        colour: float = 0.0,
        edge: Edge = HARD,
        protected: Collection[int] = (),
        min_visible: float = 0.0,
    ) -> None:
        self.bank = {class_id: cutouts for class_id, cutouts in sorted(bank.items()) if len(cutouts)}
        self.probability, self.per, self.max_instances = probability, per, max_instances
        self.scale, self.place, self.flip = scale, place, flip
        self.colour, self.edge, self.protected, self.min_visible = colour, edge, protected, min_visible

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        rng = stream(results["seed"], results["draw"], "paste")
        classes = list(self._classes(rng, results.get("wanted", (None,))[0]))
        if not classes:
            return results
        image, label = results["img"].copy(), results["gt_seg_map"].copy()
        drawn = [self._draw(label, class_id, rng) for class_id in classes]
        placed = [(box, class_id, cutout) for box, class_id, cutout in drawn if box and self._is_visible(box, label)]
        if self.place == "ground":
            placed.sort(key=lambda each: each[0].row + each[0].height)
        for box, class_id, cutout in placed:
            cutout = match_colours(resize(cutout, box.height, box.width), results["img"], self.colour)
            paste(image, label, cutout, class_id, box.row, box.col, self.edge, self.protected)
        return results | {"img": image, "gt_seg_map": label}

    def _classes(self, rng: np.random.Generator, wanted: int | None) -> Iterator[int | None]:
        """The class of each cutout to come; None = drawn together with the cutout."""
        if not self.bank:
            return
        if self.per == "class":
            yield from (c for c in self.bank if c == wanted or rng.random() < self.probability)
            return
        pastes = rng.random() < self.probability
        count = int(rng.integers(1, self.max_instances, endpoint=True)) if pastes else 0
        if wanted in self.bank:
            yield wanted
            count -= 1
        yield from [None] * count

    def _draw(self, label: Pixels, class_id: int | None, rng: np.random.Generator) -> tuple[Box | None, int, Pixels]:
        if class_id is None:
            class_id = list(self.bank)[rng.integers(len(self.bank))]
        cutout = self.bank[class_id][int(rng.integers(len(self.bank[class_id])))]
        if self.edge.blend != "alpha":
            cutout = plain(cutout)
        if rng.random() < self.flip:
            cutout = cutout[:, ::-1]
        where = on_ground if self.place == "ground" else anywhere
        return where(label, cutout, rng, self.scale), class_id, cutout

    def _is_visible(self, box: Box, label: Pixels) -> bool:
        rows = min(box.row + box.height, label.shape[0]) - max(box.row, 0)
        cols = min(box.col + box.width, label.shape[1]) - max(box.col, 0)
        return max(rows, 0) * max(cols, 0) >= self.min_visible * box.height * box.width
