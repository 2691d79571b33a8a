"""What people call the classes of a label space in a caption: words beside the class's own name.

One line per class, aliases separated by commas; plurals are made, irregular ones are in PLURALS. NOT_MEANT are phrases
that hold a class word and mean no object of it: "at the train station" shows no train.
"""

from __future__ import annotations

from collections.abc import Iterator

from stages.parts.datasets.label_spaces import label_space
from stages.parts.datasets.labels import LabelSpace

Aliases = dict[str, str]  # phrase in lower case -> class; "" where no class is meant

PERSON = (
    "man, woman, boy, girl, child, kid, baby, toddler, lady, guy, gentleman, human, rider, biker, cyclist, pedestrian, "
    "player, surfer, skier, snowboarder, skateboarder, driver, worker, passengers, couple, family, crowd, persons"
)
VOC: dict[str, str] = {
    "aeroplane": "airplane, plane, jet, airliner, aircraft, biplane", "bicycle": "bike, cycle",
    "bird": "duck, goose, seagull, gull, pigeon, eagle, owl, parrot, swan, chicken, hen",
    "boat": "ship, sailboat, canoe, kayak, ferry, yacht, rowboat", "bus": "coach, minibus",
    "car": "sedan, taxi, cab, suv, hatchback, automobile, convertible, jeep, minivan", "cat": "kitten",
    "chair": "armchair, bench, stool, rocking chair", "cow": "cattle, bull, calf, ox", "dining table": "table, desk",
    "dog": "puppy", "horse": "pony, foal", "motorbike": "motorcycle, moped, scooter", "person": PERSON,
    "potted plant": "plant, houseplant, pottedplant", "sheep": "lamb, ram", "sofa": "couch, loveseat",
    "train": "locomotive, tram", "tv monitor": "tv, television, monitor, tvmonitor, computer screen",
}  # fmt: skip
COCO: dict[str, str] = {
    "person": PERSON, "bicycle": "bike", "car": "sedan, taxi, cab, suv, hatchback, automobile, convertible, jeep",
    "motorcycle": "motorbike, moped, scooter", "airplane": "aeroplane, plane, jet, airliner, aircraft, biplane",
    "bus": "minibus", "train": "locomotive", "truck": "lorry, pickup", "boat": "ship, sailboat, canoe, kayak, ferry",
    "traffic light": "stoplight, traffic signal", "fire hydrant": "hydrant", "stop sign": "stopsign",
    "bird": "duck, goose, seagull, pigeon, owl, parrot", "cat": "kitten", "dog": "puppy", "horse": "pony, foal",
    "sheep": "lamb", "cow": "cattle, bull, calf", "backpack": "rucksack", "handbag": "purse", "tie": "necktie",
    "suitcase": "luggage", "skis": "ski", "sports ball": "ball, soccer ball, football", "baseball bat": "bat",
    "baseball glove": "mitt, catcher's mitt", "tennis racket": "racket, racquet, tennis racquet", "cup": "mug",
    "donut": "doughnut", "couch": "sofa, loveseat", "potted plant": "houseplant, plant",
    "dining table": "table, desk", "tv": "television, monitor", "laptop": "notebook computer",
    "mouse": "computer mouse", "remote": "remote control, controller",
    "cell phone": "phone, cellphone, smartphone, mobile phone",
    "oven": "stove", "refrigerator": "fridge", "teddy bear": "teddy, stuffed bear",
    "hair drier": "hair dryer, hairdryer", "wine glass": "wineglass",
}  # fmt: skip
SMALL_VOC: dict[str, str] = {
    "car": "sedan, hatchback, suv, van", "person": PERSON, "motorcycle": "motorbike, scooter", "truck": "lorry",
}  # fmt: skip
ALIASES: dict[str, dict[str, str]] = {"voc": VOC, "coco": COCO, "small_voc": SMALL_VOC}

NOT_MEANT = (
    "train station, train track, bus stop, bus station, bus lane, car park, dog house, bird house, horse shoe, "
    "boat house, toy train, remote control car"
)
# Phrases that one label space names and another lacks: there they are no object of the class whose word they hold.
COMPOUNDS = "hot dog, teddy bear, tennis table, changing table, orange juice, bear skin"
PLURALS = {
    "person": "people", "man": "men", "woman": "women", "child": "children", "gentleman": "gentlemen", "sheep": "sheep",
    "goose": "geese", "mouse": "mice", "ox": "oxen", "calf": "calves", "knife": "knives", "skis": "skis",
    "scissors": "scissors", "cattle": "cattle", "aircraft": "aircraft", "persons": "persons", "luggage": "luggage",
}  # fmt: skip


def aliases_of(space: str) -> Aliases:
    """Every phrase, singular and plural, that means a class of the label space of this name, and "" for what means
    none. A space without aliases here has its own names. GraftError for a space that there is not."""
    labels, found = label_space(space), dict[str, str]()
    for phrase in _listed(f"{NOT_MEANT}, {COMPOUNDS}"):
        found |= dict.fromkeys(_forms(phrase), "")
    for name, others in ALIASES.get(space, {}).items():
        for phrase in _listed(others):
            found |= dict.fromkeys(_forms(phrase), name)
    for name in foreground(labels):
        found |= dict.fromkeys([*_forms(name), name.replace(" ", "")], name)
    return found


def foreground(labels: LabelSpace) -> tuple[str, ...]:
    """The classes that can be drawn: all but the background, which is id 0."""
    return labels.names[1:]


def plural(phrase: str) -> str:
    """The plural of a phrase, by its last word."""
    rest, _, last = phrase.rpartition(" ")
    if last in PLURALS:
        last = PLURALS[last]
    elif last.endswith(("s", "x", "z", "ch", "sh")):
        last += "es"
    elif last.endswith("y") and last[-2:-1] not in "aeiou":
        last = f"{last[:-1]}ies"
    else:
        last += "s"
    return f"{rest} {last}".strip()


def _forms(phrase: str) -> tuple[str, str]:
    return phrase, plural(phrase)


def _listed(phrases: str) -> Iterator[str]:
    return (phrase.strip() for phrase in phrases.split(",") if phrase.strip())
