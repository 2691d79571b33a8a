"""The things of the small world, drawn side-on from one parts box: wheels, panes, boxy bodies.

They share parts on purpose: a segmenter that has never heard of a truck finds a car or a building in it.
`draw(kind, subtype, rng, look)` gives an RGBA picture cropped to the object, and its height in metres.
"""

from __future__ import annotations

from collections.abc import Callable

from PIL import Image

from stages.parts.world.pen import Colour, Look, Pen, Rng, body_colour, glass_colour, hsv, scaled

DARK: Colour = (35, 35, 40)
LAMP: Colour = (250, 235, 170)


def _car(sub: str, rng: Rng, look: Look, stretch: tuple[float, float]) -> tuple[Pen, float]:
    length, height = {
        "sedan car": (4.6, 1.45),
        "hatchback car": (3.9, 1.5),
        "suv car": (4.6, 1.8),
        "van car": (4.9, 2.1),
    }[sub]
    length, height = length * stretch[0], height * stretch[1]
    pen, body, glass = Pen(length, height), body_colour(rng, look), glass_colour(rng, look)
    belt, sill = height * 0.58, 0.28
    front, back = {
        "sedan car": (0.30, 0.84),
        "hatchback car": (0.28, 0.97),
        "suv car": (0.24, 0.97),
        "van car": (0.14, 0.99),
    }[sub]
    pen.box(0, sill, length, belt, body, 0.2)
    roof = [
        (front * length, belt),
        ((front + 0.13) * length, height),
        ((back - 0.08) * length, height),
        (back * length, belt),
    ]
    pen.poly(roof, body)
    a, b = (front + 0.05) * length, (back - 0.04) * length
    mid, top = (a + b) / 2, height - 0.12
    pen.poly([(a, belt), (a + 0.1 * length, top), (mid - 0.05, top), (mid - 0.05, belt)], glass)
    pen.poly([(mid + 0.05, belt), (mid + 0.05, top), (b - 0.06 * length, top), (b, belt)], glass)
    pen.box(0, belt - 0.28, 0.18, belt - 0.1, LAMP)
    for x in (0.2, 0.8):
        pen.wheel(x * length, 0.34)
    return pen, height


def _cab(pen: Pen, rng: Rng, look: Look, colour: Colour, width: float, height: float) -> None:
    """A lorry's cab, its front at x = 0: flat nose, one pane, a step, a lamp."""
    pen.poly([(0, 0.45), (0, height * 0.62), (0.3, height), (width, height), (width, 0.45)], colour)
    pen.poly(
        [(0.12, height * 0.62), (0.38, height - 0.15), (width * 0.8, height - 0.15), (width * 0.8, height * 0.62)],
        glass_colour(rng, look),
    )
    pen.box(0, 0.6, 0.2, 0.85, LAMP)


def _truck(sub: str, rng: Rng, look: Look, stretch: tuple[float, float]) -> tuple[Pen, float]:
    length, height = 8.2 * stretch[0], 3.3 * stretch[1]
    hue = {"fire truck": 0.0, "garbage truck": 0.33, "dump truck": 0.11}.get(sub)
    cab_colour = body_colour(rng, look, hue)
    load = body_colour(rng, look, hue) if hue is not None else body_colour(rng, look)
    pen, cab = Pen(length, height), 2.0
    start = cab + 0.25
    cab_height = min(2.7, height - 0.2)
    pen.box(0.3, 0.5, length, 0.95, DARK)  # the frame, seen in the gap between cab and load
    _cab(pen, rng, look, cab_colour, cab, cab_height)
    if sub == "box truck":
        pen.box(start, 0.9, length, height, load)
        pen.box(start, 0.9, length, 1.1, scaled(load, 0.7))
    elif sub == "tanker truck":
        pen.box(start, 0.95, length, height - 0.35, load, 0.75)
        pen.box(start + 0.4, (height + 0.5) / 2, length - 0.4, (height + 0.9) / 2, scaled(load, 1.25), 0.1)
        pen.box((start + length) / 2 - 0.3, height - 0.4, (start + length) / 2 + 0.3, height - 0.15, DARK)
    elif sub == "dump truck":
        pen.poly([(start, 1.0), (start - 0.1, height - 0.4), (length, height - 0.8), (length - 0.5, 1.0)], load)
        for k in range(1, 4):
            x = start + k * (length - start - 0.4) / 4
            pen.line([(x, 1.0), (x, height - 0.8)], 0.12, scaled(load, 0.65))
    elif sub == "flatbed truck":
        pen.box(start, 0.85, length, 1.15, load)
        wood = hsv(0.08, 0.5, float(rng.uniform(0.4, 0.65)))
        for row in range(3):
            for k in range(5 - row):
                pen.disc(
                    start + 0.8 + (k + row / 2) * 1.0, 1.6 + row * 0.62, 0.42, scaled(wood, 1 - 0.12 * ((k + row) % 2))
                )
        pen.box(start + 0.4, 1.15, length - 0.6, 1.7, scaled(wood, 0.8), 0.2)
    elif sub == "fire truck":
        pen.box(start - 0.25, 0.7, length, 2.6, load)
        pen.box(start - 0.25, 1.25, length, 1.5, (235, 235, 235))
        for k in range(3):
            x = start + 0.2 + k * 1.7
            pen.box(x, 1.65, x + 1.3, 2.4, scaled(load, 0.6))
        pen.line([(cab - 0.5, 2.85), (length - 0.2, 2.95)], 0.22, (205, 205, 210))
        pen.box(0.9, cab_height, 1.5, cab_height + 0.2, (40, 90, 230))
    else:  # garbage truck
        pen.poly(
            [(start, 0.9), (start, height - 0.2), (length - 1.3, height - 0.1), (length, 1.9), (length - 0.1, 0.9)],
            load,
        )
        pen.poly(
            [(length - 1.4, 0.9), (length - 1.4, height - 0.3), (length, 1.9), (length - 0.1, 0.9)], scaled(load, 0.6)
        )
    for x in (1.0, length - 2.3, length - 1.1):
        pen.wheel(x, 0.5)
    return pen, height


def _bus(sub: str, rng: Rng, look: Look, stretch: tuple[float, float]) -> tuple[Pen, float]:
    length, height, panes = {
        "city bus": (10.5, 3.0, 7), "school bus": (9.0, 2.9, 7), "double-decker bus": (9.5, 4.2, 7),
        "mini bus": (6.4, 2.6, 4), "coach bus": (11.0, 3.4, 5), "trolley bus": (10.5, 3.0, 7),
    }[sub]  # fmt: skip
    length, height = length * stretch[0], height * stretch[1]
    hue = {"school bus": 0.13, "double-decker bus": 0.99}.get(sub)
    body, glass = body_colour(rng, look, hue), glass_colour(rng, look)
    wires = 0.8 if sub == "trolley bus" else 0.0
    pen = Pen(length, height + wires)
    nose = 1.5 if sub == "school bus" else 0.0
    pen.box(nose * 0.8, 0.35, length, height, body, 0.3)
    if nose:
        pen.box(0, 0.35, nose + 0.4, 1.55, body, 0.25)
    floors = [(1.25, 1.95), (2.75, 3.6)] if sub == "double-decker bus" else [(height * 0.46, height - 0.4)]
    for low, high in floors:
        pen.windows(nose + 1.1, length - 0.3, low, high, panes, glass)
        pen.box(nose * 0.8 + 0.08, low - 0.25, nose + 0.95, high, glass, 0.1)
    pen.box(0.3 + nose * 0.8, 0.85, length, 1.05, scaled(body, 0.6))
    if sub == "coach bus":
        pen.box(1.2, 0.45, length - 0.5, 0.8, scaled(body, 0.75))
    if wires:
        pen.line([(length * 0.55, height), (length * 0.95, height + wires)], 0.1, DARK)
        pen.line([(length * 0.50, height), (length * 0.90, height + wires)], 0.1, DARK)
    pen.box(0, 0.55, 0.2, 0.8, LAMP)
    for x in (0.2, 0.78):
        pen.wheel(x * length, 0.5)
    return pen, height + wires


def _train(sub: str, rng: Rng, look: Look, stretch: tuple[float, float]) -> tuple[Pen, float]:
    length, height = 13.0 * stretch[0], 3.9 * stretch[1]
    body = hsv(0.6, 0.06, float(rng.uniform(0.6, 0.85))) if sub == "metro train" else body_colour(rng, look)
    stripe, glass = body_colour(rng, look, float(rng.random())), glass_colour(rng, look)
    wires = 0.7 if sub in ("passenger train", "high-speed train", "commuter train") else 0.0
    pen, floor = Pen(length, height + wires), 0.75
    x: float
    if sub == "high-speed train":
        pen.poly([(0, floor), (0.2, 1.5), (3.2, height), (length, height), (length, floor)], body)
        pen.poly([(1.5, 2.2), (2.7, 3.2), (3.4, 3.2), (3.4, 2.2)], glass)
        pen.box(4.0, 2.1, length, 2.9, glass)
        pen.box(0.4, 1.1, length, 1.5, stripe)
    elif sub == "freight train":
        cars = 3
        for k in range(cars):
            a, b = k * length / cars + 0.15, (k + 1) * length / cars - 0.15
            colour = body_colour(rng, look)
            pen.box(a, floor, b, height - 0.2, colour)
            for x in range(1, 6):
                pen.line(
                    [(a + x * (b - a) / 6, floor + 0.1), (a + x * (b - a) / 6, height - 0.3)],
                    0.12,
                    scaled(colour, 0.65),
                )
        pen.box(0, floor, length, floor + 0.25, DARK)
    elif sub == "diesel train":
        pen.box(0.1, floor, length, floor + 0.8, DARK)
        pen.box(0.2, floor, length - 0.2, height - 0.9, body, 0.1)
        pen.box(1.4, floor, 4.0, height, body, 0.15)
        pen.windows(1.6, 3.8, 2.6, 3.4, 2, glass)
        for k in range(6):
            x = 5.0 + k * (length - 6) / 6
            pen.box(x, 1.6, x + 1.0, 2.5, scaled(body, 0.6))
        pen.box(0.2, 1.1, length - 0.2, 1.4, stripe)
    else:
        panes = {"passenger train": 9, "commuter train": 7, "metro train": 6}[sub]
        pen.box(0, floor, length, height, body, 0.45)
        pen.windows(1.8, length - 0.3, 2.15, 3.1, panes, glass)
        pen.box(0.12, 2.0, 1.4, 3.1, glass, 0.2)
        pen.box(0.2, 1.35, length, 1.75, stripe)
        if sub != "passenger train":  # doors, wide and of another colour
            for x in (0.3, 0.65, 0.92):
                pen.box(x * length - 0.6, floor + 0.1, x * length + 0.6, 3.2, scaled(stripe, 0.85))
    if wires:
        x = length * 0.5
        pen.line([(x - 0.6, height), (x, height + 0.35), (x - 0.5, height + wires)], 0.12, DARK)
        pen.line([(x - 1.2, height + wires), (x + 0.3, height + wires)], 0.12, DARK)
    for x in (0.1, 0.2, 0.47, 0.56, 0.82, 0.92):  # bogies: many small wheels under a dark skirt
        pen.box(x * length - 0.7, 0.35, x * length + 0.7, floor, DARK)
        pen.disc(x * length - 0.4, 0.36, 0.36, (60, 60, 64))
        pen.disc(x * length + 0.4, 0.36, 0.36, (60, 60, 64))
    pen.box(0, 0.0, length, 0.1, (95, 85, 80))  # the rail
    return pen, height + wires


def _person(sub: str, rng: Rng, look: Look, stretch: tuple[float, float]) -> tuple[Pen, float]:
    height = 1.75 * stretch[1]
    pen, shirt, trousers = Pen(0.8, height), body_colour(rng, look), body_colour(rng, look)
    gap = 0.22 if sub == "walking person" else 0.08
    pen.line([(0.4, height * 0.5), (0.4 - gap, 0)], 0.17, trousers)
    pen.line([(0.4, height * 0.5), (0.4 + gap, 0)], 0.17, trousers)
    pen.box(0.18, height * 0.46, 0.62, height * 0.84, shirt, 0.12)
    pen.line([(0.2, height * 0.8), (0.2 - gap * 0.6, height * 0.48)], 0.12, scaled(shirt, 0.8))
    pen.line([(0.6, height * 0.8), (0.6 + gap * 0.6, height * 0.48)], 0.12, scaled(shirt, 0.8))
    pen.disc(0.4, height - 0.15, 0.15, hsv(0.07, 0.4, float(rng.uniform(0.45, 0.9))))
    return pen, height


def _motorcycle(sub: str, rng: Rng, look: Look, stretch: tuple[float, float]) -> tuple[Pen, float]:
    length, height = 2.1 * stretch[0], 1.2 * stretch[1]
    pen, body = Pen(length, height), body_colour(rng, look)
    pen.line([(0.35, 0.33), (0.6, height - 0.1), (0.4, height)], 0.1, DARK)
    if sub == "sport motorcycle":
        pen.poly([(0.3, 0.75), (0.6, height - 0.15), (1.2, 0.9), (1.9, 1.05), (1.4, 0.4), (0.7, 0.35)], body)
    else:
        pen.poly([(0.45, 0.3), (0.5, 0.95), (0.65, 0.4), (1.2, 0.4), (1.3, 0.8), (2.0, 0.8), (1.9, 0.35)], body)
    pen.wheel(0.35, 0.33)
    pen.wheel(length - 0.4, 0.33)
    return pen, height


DRAW: dict[str, Callable[[str, Rng, Look, tuple[float, float]], tuple[Pen, float]]] = {
    "car": _car, "truck": _truck, "bus": _bus, "train": _train, "person": _person, "motorcycle": _motorcycle,
}  # fmt: skip

SUBTYPES: dict[str, tuple[str, ...]] = {
    "car": ("sedan car", "hatchback car", "suv car", "van car"),
    "truck": ("box truck", "tanker truck", "dump truck", "flatbed truck", "fire truck", "garbage truck"),
    "bus": ("city bus", "school bus", "double-decker bus", "mini bus", "coach bus", "trolley bus"),
    "train": ("passenger train", "high-speed train", "freight train", "commuter train", "metro train", "diesel train"),
    "person": ("walking person", "standing person"),
    "motorcycle": ("sport motorcycle", "scooter motorcycle"),
}


def draw(kind: str, subtype: str, rng: Rng, look: Look) -> tuple[Image.Image, float]:
    """One object: (RGBA picture cropped to it, its front to the left or right by chance; height in metres)."""
    stretch = tuple(float(s) for s in 1 + rng.normal(0, look.stretch, 2).clip(-0.25, 0.25))
    pen, height = DRAW[kind](subtype, rng, look, stretch)  # type: ignore[arg-type]
    image = pen.shaded(look.shade)
    if rng.random() < 0.5:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    return image, height
