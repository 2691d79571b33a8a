"""Id maps of the sets on which unsupervised segmentation is measured: Cityscapes-27, COCO-Stuff-27, Potsdam-3.

All are facts: Cityscapes counts its label ids 7 to 33 (Cordts et al. 2016), COCO-Stuff-27 its 182 labels by their
supercategory (Caesar et al. 2018; Ji et al., IIC, 2019), Potsdam-3 ISPRS Potsdam's six by pairs (IIC).
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain, repeat

from stages.parts.datasets.idmaps import IdMap, Layout, idmap
from stages.parts.datasets.label_spaces import COCO_STUFF_27, POTSDAM_3
from stages.parts.datasets.labels import IGNORE, LabelSpace

# COCO-Stuff's labels 0 to 90, things in the order of its list, as (coarse class, how many in a row).
_THINGS = (
    ("person", 1), ("vehicle", 8), ("outdoor", 6), ("animal", 10), ("accessory", 8), ("sports", 10), ("kitchen", 8),
    ("food", 10), ("furniture", 10), ("electronic", 6), ("appliance", 6), ("indoor", 8),
)  # fmt: skip
# Labels 91 to 181, stuff, which its list has in alphabetical order: one coarse class each.
_STUFF = (
    "textile textile plant building building plant furniture_stuff structural raw_material floor ceiling ceiling "
    "textile textile sky furniture_stuff furniture_stuff textile furniture_stuff ground furniture_stuff "
    "structural floor floor floor floor floor plant water food_stuff food_stuff furniture_stuff plant ground "
    "ground solid building plant furniture_stuff textile raw_material furniture_stuff plant solid ground textile "
    "structural raw_material ground textile plant raw_material ground ground structural ground water ground solid "
    "building textile food_stuff ground water furniture_stuff sky building ground solid furniture_stuff solid "
    "plant structural furniture_stuff building textile textile plant food_stuff wall wall wall wall wall wall "
    "wall water water window window solid"
)
COCO_STUFF_NAMES = [
    *chain.from_iterable(repeat(*run) for run in _THINGS),
    *(name.replace("_", " ") for name in _STUFF.split()),
]
POTSDAM_NAMES = ("road", "building", "vegetation", "vegetation", "road", "building")

COARSE = {
    "coco_stuff_27": (
        COCO_STUFF_27,
        IdMap(
            "COCO-Stuff (27 coarse classes)",
            {k: COCO_STUFF_27.id(name) for k, name in enumerate(COCO_STUFF_NAMES)} | {IGNORE: IGNORE},
            layouts=(Layout(".jpg"),),
        ),
    ),
    "potsdam_3": (
        POTSDAM_3,
        IdMap(
            "Potsdam (3 classes)",
            {k: POTSDAM_3.id(name) for k, name in enumerate(POTSDAM_NAMES)} | {IGNORE: IGNORE},
        ),
    ),
}


def coarse_idmap(ids: str | Mapping[int, str], labels: LabelSpace, where: str) -> IdMap:
    """The map of this name as train ids of the label space: one of COARSE, where the space is its own, or one of
    idmaps.py; Cityscapes-27 is its `cityscapes` in the label space cityscapes_27. GraftError as of idmap."""
    if isinstance(ids, str) and ids in COARSE and COARSE[ids][0] == labels:
        return COARSE[ids][1]
    return idmap(ids, labels, where)
