"""Label spaces of published datasets beside Cityscapes' 19, and the small world's: names in the order of their ids."""

from __future__ import annotations

from stages.parts.datasets.labels import CITYSCAPES, LABELS, LabelSpace
from stages.parts.errors import GraftError

Colour = tuple[int, int, int]


def voc_colours(count: int) -> list[Colour]:
    """Pascal VOC's colour map: the bits of an id, three by three, from the highest bit of each channel down."""
    colours = []
    for number in range(count):
        channels = [sum((number >> (3 * bit + channel) & 1) << (7 - bit) for bit in range(8)) for channel in range(3)]
        colours.append((channels[0], channels[1], channels[2]))
    return colours


def _coloured(title: str, names: str) -> LabelSpace:
    listed = [name.strip() for name in names.split(",")]
    return LabelSpace(title, tuple(zip(listed, voc_colours(len(listed)), strict=True)))


VOC = _coloured(
    "Pascal VOC (background and 20 classes)",
    "background, aeroplane, bicycle, bird, boat, bottle, bus, car, cat, chair, cow, dining table, dog, horse, "
    "motorbike, person, potted plant, sheep, sofa, train, tv monitor",
)
COCO = _coloured(
    "COCO (background and 80 classes)",
    "background, person, bicycle, car, motorcycle, airplane, bus, train, truck, boat, traffic light, fire hydrant, "
    "stop sign, parking meter, bench, bird, cat, dog, horse, sheep, cow, elephant, bear, zebra, giraffe, backpack, "
    "umbrella, handbag, tie, suitcase, frisbee, skis, snowboard, sports ball, kite, baseball bat, baseball glove, "
    "skateboard, surfboard, tennis racket, bottle, wine glass, cup, fork, knife, spoon, bowl, banana, apple, sandwich, "
    "orange, broccoli, carrot, hot dog, pizza, donut, cake, chair, couch, potted plant, bed, dining table, toilet, tv, "
    "laptop, mouse, remote, keyboard, cell phone, microwave, oven, toaster, sink, refrigerator, book, clock, vase, "
    "scissors, teddy bear, hair drier, toothbrush",
)
COCO_STUFF_27 = _coloured(
    "COCO-Stuff (27 coarse classes)",
    "electronic, appliance, food, furniture, indoor, kitchen, accessory, animal, outdoor, person, sports, vehicle, "
    "ceiling, floor, food stuff, furniture stuff, raw material, textile, wall, window, building, ground, plant, sky, "
    "solid, structural, water",
)
# Ids 7 to 33 of Cityscapes' own list: the 19 and eight more, in its order.
_MORE: dict[str, Colour] = {
    "parking": (250, 170, 160), "rail track": (230, 150, 140), "guard rail": (180, 165, 180), "bridge": (150, 100, 100),
    "tunnel": (150, 120, 90), "polegroup": (153, 153, 153), "caravan": (0, 0, 90), "trailer": (0, 0, 110),
}  # fmt: skip
_ORDER = (
    "road", "sidewalk", "parking", "rail track", "building", "wall", "fence", "guard rail", "bridge", "tunnel", "pole",
    "polegroup", "traffic light", "traffic sign", "vegetation", "terrain", "sky", "person", "rider", "car", "truck",
    "bus", "caravan", "trailer", "train", "motorcycle", "bicycle",
)  # fmt: skip
CITYSCAPES_27 = LabelSpace(
    "Cityscapes (27 classes)", tuple((name, (dict(CITYSCAPES.table) | _MORE)[name]) for name in _ORDER)
)
POTSDAM_3 = LabelSpace(
    "Potsdam (3 classes)", (("road", (255, 255, 255)), ("building", (0, 0, 255)), ("vegetation", (0, 255, 0)))
)
SMALL_VOC = _coloured(
    "the small world's photos (background and 6 classes)", "background, car, truck, bus, train, person, motorcycle"
)

LABEL_SPACES = {
    "cityscapes": LABELS, "cityscapes_27": CITYSCAPES_27, "voc": VOC, "coco": COCO, "coco_stuff_27": COCO_STUFF_27,
    "potsdam_3": POTSDAM_3, "small_voc": SMALL_VOC,
}  # fmt: skip


def label_space(name: str) -> LabelSpace:
    """The label space of that name. GraftError for one that there is not."""
    if name not in LABEL_SPACES:
        raise GraftError(f"there is no label space {name!r}; take one of {', '.join(LABEL_SPACES)}")
    return LABEL_SPACES[name]
