"""Id maps: what the pixels of a published dataset's label files mean, as train ids of a label space.

The tables hold names; a class that the label space lacks is IGNORE. A map lists every value that a well-formed label
file may hold, those that count as IGNORE too: a value that it does not list is a fault of the file or of the choice of
map, and never becomes a class in silence.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from stages.parts.datasets.label_spaces import CITYSCAPES_27, VOC
from stages.parts.datasets.labels import CITYSCAPES, IGNORE, LabelSpace
from stages.parts.errors import GraftError

UNKNOWN = 254  # no label space has so many classes


@dataclass(frozen=True)
class Layout:
    """The ends of a set's file names, cut off to find the label of an image: that of "aachen_0_leftImg8bit.png" is
    "aachen_0_gtFine_labelIds.png". Without img_suffix, any picture's ending is cut off. The names are mmseg's."""

    img_suffix: str = ""
    seg_map_suffix: str = ".png"


@dataclass(frozen=True)
class IdMap:
    """How to read one dataset's labels: `ids` (value -> train id) or, where labels are coloured, `colours`.

    `layouts`: how the files are named, the most particular first; the first that a folder of labels shows is taken.
    Where the set is `partial`, images without a label are passed over; elsewhere they are a fault."""

    title: str
    ids: Mapping[int, int] = field(default_factory=dict)
    colours: Mapping[tuple[int, int, int], int] = field(default_factory=dict)
    layouts: tuple[Layout, ...] = (Layout(),)
    partial: bool = False

    def train_ids(self, label: NDArray) -> NDArray[np.uint8]:
        """(H, W) uint8 or uint16 ids, or (H, W, 3) uint8 colours for a map of colours -> (H, W) uint8 train ids.

        Raises ValueError that names a value which the map lacks, or says that the label is of the other kind."""
        if self.colours:
            return self._of_colours(label)
        if label.ndim != 2:
            raise ValueError(f"it is a colour picture, but {self.title} labels are ids")
        table = np.full(1 << 16, UNKNOWN, dtype=np.uint8)
        table[list(self.ids)] = list(self.ids.values())
        mapped = table[label]
        if (unknown := label[mapped == UNKNOWN]).size:
            raise ValueError(f"{self.title} has no id {unknown.min()}")
        return mapped

    def _of_colours(self, label: NDArray) -> NDArray[np.uint8]:
        if label.ndim != 3:
            raise ValueError(f"it is a grey or a palette picture, but {self.title} labels are colours")
        mapped = np.full(label.shape[:2], UNKNOWN, dtype=np.uint8)
        for colour, train_id in self.colours.items():
            mapped[(label == np.array(colour)).all(axis=2)] = train_id
        if (unknown := label[mapped == UNKNOWN]).size:
            raise ValueError(f"{self.title} has no colour {tuple(unknown[0].tolist())}")
        return mapped


# Cityscapes' own label ids, 7 to 33; GTA5 uses them too.
LABEL_IDS = dict(enumerate(CITYSCAPES_27.names, 7))
# SYNTHIA-RAND-LABELS: the 16 classes that are compared. Terrain, truck and train have ids in its list too, but
# none of its images shows them.
SYNTHIA = {
    1: "sky", 2: "building", 3: "road", 4: "sidewalk", 5: "fence", 6: "vegetation", 7: "pole", 8: "car",
    9: "traffic sign", 10: "person", 11: "bicycle", 12: "motorcycle", 15: "traffic light", 16: "terrain", 17: "rider",
    18: "truck", 19: "bus", 20: "train", 21: "wall",
}  # fmt: skip
# CamVid as SegNet published it, 11 classes. Trucks and buses are cars there, a bicyclist is drawn with the bicycle.
CAMVID = {
    0: "sky", 1: "building", 2: "pole", 3: "road", 4: "sidewalk", 5: "vegetation", 6: "traffic sign", 7: "fence",
    8: "car", 9: "person", 10: "rider",
}  # fmt: skip
# CamVid as drawn, 32 colours. Truck_Bus is one class there, so it can be neither here.
CAMVID_COLOURS = {
    (128, 128, 128): "sky", (128, 0, 0): "building", (192, 0, 128): "building", (64, 192, 0): "wall",
    (64, 64, 128): "fence", (192, 192, 128): "pole", (128, 64, 128): "road", (128, 0, 192): "road",
    (192, 0, 64): "road", (0, 0, 192): "sidewalk", (128, 128, 0): "vegetation", (192, 192, 0): "vegetation",
    (192, 128, 128): "traffic sign", (0, 64, 64): "traffic light", (64, 64, 0): "person", (192, 128, 64): "person",
    (0, 128, 192): "rider", (64, 0, 128): "car", (64, 128, 192): "car", (192, 64, 128): "train",
    (192, 0, 192): "motorcycle",
}  # fmt: skip
CAMVID_IGNORED = (
    (0, 0, 0), (64, 128, 64), (0, 128, 64), (64, 0, 192), (128, 128, 64), (128, 64, 64), (64, 192, 128),
    (128, 128, 192), (0, 0, 64), (192, 128, 192), (64, 0, 64),
)  # fmt: skip
VOC_IDS = dict(enumerate(VOC.names))
# COCO-Stuff's pixel maps hold id - 1 of its list of 182 labels. What of these a street shows, by a street's names.
COCO_STUFF = {
    0: "person", 1: "bicycle", 2: "car", 3: "motorcycle", 5: "bus", 6: "train", 7: "truck", 9: "traffic light",
    11: "traffic sign", 12: "traffic sign", 95: "building", 96: "vegetation", 105: "sky", 110: "terrain",
    112: "fence", 123: "terrain", 127: "building", 139: "sidewalk", 148: "road", 156: "sky", 157: "building",
    168: "vegetation", 170: "wall", 171: "wall", 172: "wall", 174: "wall",
}  # fmt: skip

# Mapillary Vistas 1.2, 66 classes; those that have a counterpart among Cityscapes' 19, as that set draws the line.
MAPILLARY = {
    2: "sidewalk", 3: "fence", 6: "wall", 8: "road", 9: "sidewalk", 11: "sidewalk", 13: "road", 14: "road",
    15: "sidewalk", 17: "building", 19: "person", 20: "rider", 21: "rider", 22: "rider", 23: "road", 24: "road",
    27: "sky", 29: "terrain", 30: "vegetation", 41: "road", 43: "road", 45: "pole", 47: "pole", 48: "traffic light",
    50: "traffic sign", 52: "bicycle", 54: "bus", 55: "car", 57: "motorcycle", 58: "train", 61: "truck",
}  # fmt: skip

ACDC_IDS = Layout("_rgb_anon.png", "_gt_labelIds.png")
CITYSCAPES_FILES = (
    Layout("_leftImg8bit.png", "_gtFine_labelIds.png"), Layout("_leftImg8bit.png", "_gtCoarse_labelIds.png"), ACDC_IDS,
)  # fmt: skip
# Train ids, as Cityscapes' scripts, ACDC, the converters of DAFormer and our own materialise, and BDD100K name them.
TRAIN_IDS = (
    Layout("_leftImg8bit.png", "_gtFine_labelTrainIds.png"), Layout("_rgb_anon.png", "_gt_labelTrainIds.png"),
    Layout("", "_labelTrainIds.png"), Layout("", "_train_id.png"), Layout(),
)  # fmt: skip

SAME = {"motorbike": "motorcycle"}  # where datasets have two names for one class


def idmaps(labels: LabelSpace) -> dict[str, IdMap]:
    """The map of every published dataset, by its name in params.yaml, as train ids of this label space."""

    def train_id(name: str) -> int:
        return next((labels.id(one) for one in (name, SAME.get(name, name)) if one in labels.names), IGNORE)

    def listed(classes: Mapping[int, str], ignored: Iterable[int]) -> dict[int, int]:
        return dict.fromkeys(ignored, IGNORE) | {value: train_id(name) for value, name in classes.items()}

    return {
        "train_ids": IdMap(labels.title, listed(dict(enumerate(labels.names)), [IGNORE]), layouts=TRAIN_IDS),
        "cityscapes": IdMap("Cityscapes", listed(LABEL_IDS, [*range(34), 255]), layouts=CITYSCAPES_FILES),
        "bdd100k": IdMap(
            "BDD100K", listed(dict(enumerate(CITYSCAPES.names)), [IGNORE]),
            layouts=(Layout("", "_train_id.png"), Layout()),
        ),
        "acdc": IdMap("ACDC", listed(LABEL_IDS, [*range(34), 255]), layouts=(ACDC_IDS,)),
        "mapillary": IdMap("Mapillary Vistas 1.2", listed(MAPILLARY, range(66))),
        "gta5": IdMap("GTA5", listed(LABEL_IDS, [*range(35), 255])),
        "synthia": IdMap("SYNTHIA-RAND-LABELS", listed(SYNTHIA, range(23))),
        "camvid": IdMap("CamVid (11 classes)", listed(CAMVID, [11, 255])),
        "camvid_colours": IdMap(
            "CamVid (32 colours)",
            colours=dict.fromkeys(CAMVID_IGNORED, IGNORE)
            | {colour: train_id(name) for colour, name in CAMVID_COLOURS.items()},
            layouts=(Layout(".png", "_L.png"),),
        ),
        "voc": IdMap("Pascal VOC", listed(VOC_IDS, [255]), layouts=(Layout(".jpg"),), partial=True),
        "coco_stuff": IdMap("COCO-Stuff", listed(COCO_STUFF, [*range(182), 255]), layouts=(Layout(".jpg"),)),
    }  # fmt: skip


def idmap(ids: str | Mapping[int, str], labels: LabelSpace, where: str, named: Layout | None = None) -> IdMap:
    """The map of this name, or one of the user's own: {value: class name, or "ignore"}. 255 may stay unlisted.
    `named`: how the files are named, where the user says so.

    Raises GraftError that begins with `where`, the key in params.yaml."""
    found = _idmap(ids, labels, where)
    return found if named is None else replace(found, layouts=(named,))


def _idmap(ids: str | Mapping[int, str], labels: LabelSpace, where: str) -> IdMap:
    if isinstance(ids, str):
        published = idmaps(labels)
        if ids not in published:
            raise GraftError(
                f"{where}: there is no id map {ids!r}; take one of {', '.join(published)}, or write a table"
            )
        return published[ids]
    if unknown := sorted(set(ids.values()) - {*labels.names, "ignore"}):
        raise GraftError(f"{where}: {unknown[0]!r} is no class; use 'ignore' or one of {', '.join(labels.names)}")
    if not set(ids.values()) - {"ignore"}:
        raise GraftError(f"{where}: the table names no class; write what the values mean, such as {{7: road}}")
    own = {value: IGNORE if name == "ignore" else labels.id(name) for value, name in ids.items()}
    return IdMap("the table of params.yaml", {IGNORE: IGNORE} | own, layouts=TRAIN_IDS[2:])
