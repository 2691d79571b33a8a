"""Pasting cutouts into a labelled source image (UCG, section 3 of its code; its defects P1 to P10 mended)."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Literal

import numpy as np
from mmcv.transforms import BaseTransform
from mmseg.registry import TRANSFORMS
from numpy.typing import NDArray

from stages.parts.datasets.label_spaces import label_space
from stages.parts.datasets.labels import LabelSpace
from stages.parts.errors import GraftError
from stages.parts.pasting.composite import HARD, Edge, match_colours, paste, plain, resize_object
from stages.parts.pasting.place import Box, Per, Place, Scale, anywhere, ground_table, on_ground
from stages.parts.store.samples import Shards, png_array
from stages.parts.store.streams import draw_stream

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


def read_bank(bank: Shards, labels: LabelSpace) -> dict[int, Cutouts]:
    """{train id: the bank's cutouts of the class}. GraftError for a class that the label space lacks."""
    try:
        return {labels.id(name): Cutouts(bank, name) for name in sorted({row["class"] for row in bank.rows})}
    except GraftError as error:
        raise GraftError(f"{bank.folder}: {error}; take its cutouts out of the bank") from None


@TRANSFORMS.register_module()
class PasteCutouts(BaseTransform):
    """Paste novel objects into a source image; goes into the source pipeline right after loading.

    bank: {train id: its cutouts, see composite.py}, or a folder of data/cutouts/; an empty bank pastes nothing.
    scale, edge: Scale and Edge, or tables of their fields, so that a config of mmsegmentation can name them all.
    per         image: with `probability`, 1 to `max_instances` cutouts. The class is drawn before the cutout: classes
                are balanced, however many cutouts each has. class: each class with `probability`, one cutout [UCG]
    place       ground: see place.on_ground; the near ones hide the far ones. anywhere: the last hide the first [UCG]
    flip        probability of mirroring a cutout
    colour      how far its colours are moved towards the scene's, 0..1
    protected   train ids of classes that are never hidden
    min_visible share of an object's box that must be inside of the image, or it is not pasted

    labels      the label space of the scenes and of a bank that is a folder, or its name in label_spaces.py
    seed        of every chance, where the results name none
    channels    the order of the scene's colours: mmsegmentation's own loader gives bgr

    Replaces "img" (H, W, 3) and "gt_seg_map" (H, W), both uint8. What is pasted depends on "seed" and "draw" in the
    results alone; without a draw it is drawn from numpy's global generator, as mmsegmentation's own transforms draw.
    If the results want a class of the bank ("wanted": (class, pixels), from rare class sampling), it is pasted for
    sure, before chance decides on more: anywhere, if it finds no ground or would hardly be seen there.
    """

    def __init__(
        self,
        bank: Mapping[int, Sequence[Pixels]] | str,
        probability: float,
        per: Per,
        max_instances: int,
        scale: Scale | Mapping[str, Any],
        place: Place,
        flip: float,
        colour: float = 0.0,
        edge: Edge | Mapping[str, Any] = HARD,
        protected: Collection[int] = (),
        min_visible: float = 0.0,
        labels: LabelSpace | str = "cityscapes",
        seed: int = 0,
        channels: Literal["rgb", "bgr"] = "rgb",
    ) -> None:
        labels = label_space(labels) if isinstance(labels, str) else labels
        if isinstance(bank, str):
            bank = read_bank(Shards(bank), labels)
        self.bank = {class_id: cutouts for class_id, cutouts in sorted(bank.items()) if len(cutouts)}
        self.probability, self.per, self.max_instances = probability, per, max_instances
        self.scale = scale if isinstance(scale, Scale) else Scale(**scale)
        self.edge = edge if isinstance(edge, Edge) else Edge(**edge)
        self.place, self.flip, self.colour, self.protected = place, flip, colour, protected
        self.min_visible, self.seed, self.channels = min_visible, seed, channels
        self.is_ground = ground_table(labels)

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        draw = results["draw"] if "draw" in results else np.random.randint(2**31)
        rng, wanted = draw_stream(results.get("seed", self.seed), draw, "paste"), results.get("wanted", (None,))[0]
        classes = list(self._classes(rng, wanted))
        if not classes:
            return results
        order = 1 if self.channels == "rgb" else -1
        scene, label = results["img"][..., ::order], results["gt_seg_map"].copy()
        image = scene.copy()
        drawn = [self._draw(label, class_id, rng, wanted) for class_id in classes]
        placed = [(box, class_id, cutout) for box, class_id, cutout in drawn if box and self._is_visible(box, label)]
        if self.place == "ground":
            placed.sort(key=lambda each: each[0].row + each[0].height)
        for box, class_id, cutout in placed:
            cutout, above, beside = resize_object(cutout, box.height, box.width)
            cutout = match_colours(cutout, scene, self.colour)
            paste(image, label, cutout, class_id, box.row - above, box.col - beside, self.edge, self.protected)
        return results | {"img": np.ascontiguousarray(image[..., ::order]), "gt_seg_map": label}

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

    def _draw(
        self, label: Pixels, class_id: int | None, rng: np.random.Generator, wanted: int | None
    ) -> tuple[Box | None, int, Pixels]:
        if class_id is None:
            class_id = list(self.bank)[rng.integers(len(self.bank))]
        cutout = self.bank[class_id][int(rng.integers(len(self.bank[class_id])))]
        if self.edge.blend != "alpha":
            cutout = plain(cutout)
        if rng.random() < self.flip:
            cutout = cutout[:, ::-1]
        if self.place == "ground":
            box = on_ground(label, cutout, rng, self.scale, self.is_ground)
        else:
            box = anywhere(label, cutout, rng, self.scale)
        if class_id == wanted and not (box and self._is_visible(box, label)):
            box = anywhere(label, cutout, rng, self.scale)
        return box, class_id, cutout

    def _is_visible(self, box: Box, label: Pixels) -> bool:
        rows = min(box.row + box.height, label.shape[0]) - max(box.row, 0)
        cols = min(box.col + box.width, label.shape[1]) - max(box.col, 0)
        return max(rows, 0) * max(cols, 0) >= self.min_visible * box.height * box.width
