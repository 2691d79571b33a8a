"""Contact sheets: pictures of samples, tiled and captioned. Every picture is (H, W, 3) uint8 RGB."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import matplotlib
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

Picture = NDArray[np.uint8]
Plane = NDArray[np.uint8]
Colour = tuple[int, int, int]
Item = TypeVar("Item")

COLUMNS = ("image", "attribution", "seed mask", "mask", "cutout")
WHITE, INK, GREEN, RED = (255, 255, 255), (40, 40, 40), (0, 120, 60), (180, 30, 30)
TILE, GAP, LINE = 128, 4, 20


@dataclass(frozen=True)
class Candidate:
    """A refined sample and what the cleaner said of it: `reason` is empty when it is kept."""

    uid: str
    reason: str
    image: Picture
    attribution: Plane  # (H, W) uint8, 0 .. 255
    seed: Plane  # (H, W) uint8, 0 or 255
    mask: Plane  # (H, W) uint8, 0 or 255
    words: str = ""  # the prompt that it was drawn from; empty for one that was taken in


def heat(image: Picture, attribution: Plane) -> Picture:
    """The attribution map over the image, dark where it is 0 and bright where it is 255."""
    colours = matplotlib.colormaps["inferno"](attribution)[..., :3] * 255
    return np.rint(0.4 * image + 0.6 * colours).astype(np.uint8)


def outlined(image: Picture, mask: Plane) -> Picture:
    """The image, faded outside of the mask, with the mask's inner edge in red. An empty mask fades everything."""
    inside = mask > 0
    padded = np.pad(inside, 1)
    core = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    result = np.where(inside[..., None], image, image // 3 + 140)
    result[inside & ~core] = (255, 40, 40)
    return result.astype(np.uint8)


def on_checkerboard(image: Picture, mask: Plane, square: int = 4) -> Picture:
    """The pixels of the mask on a grey checkerboard."""
    rows, columns = np.indices(mask.shape) // square
    board = np.where((rows + columns) % 2, 255, 205).astype(np.uint8)
    return np.where(mask[..., None] > 0, image, board[..., None])


def fitted(picture: Picture, height: int, width: int) -> Image.Image:
    """Scaled to fit into height x width, the rest white: whole pixels when enlarged, means of them when reduced."""
    scale = min(height / picture.shape[0], width / picture.shape[1])
    size = (max(1, round(picture.shape[1] * scale)), max(1, round(picture.shape[0] * scale)))
    filtering = Image.Resampling.NEAREST if scale >= 1 else Image.Resampling.BOX
    tile = Image.new("RGB", (width, height), WHITE)
    tile.paste(Image.fromarray(picture).resize(size, filtering), ((width - size[0]) // 2, (height - size[1]) // 2))
    return tile


def grid(
    lines: Sequence[Sequence[Picture]],
    header: Sequence[str],
    height: int = TILE,
    widths: Sequence[int] = (TILE,),
    captions: Sequence[tuple[str, Colour]] = (),
) -> Picture:
    """Pictures in lines below the titles of their columns, each line below its caption, if there are captions.

    `widths` of the columns, the last of them for all that follow. A shorter line ends early. No line: the titles."""
    columns = [widths[min(k, len(widths) - 1)] for k in range(len(header))]
    lefts = [sum(columns[:k]) + k * GAP for k in range(len(header))]
    step = height + GAP + (LINE if captions else 0)
    sheet = Image.new("RGB", (sum(columns) + len(columns) * GAP, LINE + len(lines) * step), WHITE)
    for left, title in zip(lefts, header, strict=True):
        write(sheet, (left, 3), title)
    for number, line in enumerate(lines):
        bottom = LINE + (number + 1) * step
        if captions:
            write(sheet, (0, bottom - step + 3), *captions[number])
        for left, width, picture in zip(lefts, columns, line, strict=False):
            sheet.paste(fitted(picture, height, width), (left, bottom - GAP - height))
    return np.array(sheet)


def write(sheet: Image.Image, place: tuple[int, int], text: str, colour: Colour = INK) -> None:
    ImageDraw.Draw(sheet).text(place, text, fill=colour, font=ImageFont.load_default(13))


def candidate_sheet(kept: Sequence[Candidate], rejected: Sequence[Candidate]) -> Picture:
    """Kept samples on the left, rejected ones with their reason on the right, each a line of the five COLUMNS."""
    half = len(COLUMNS) * (TILE + GAP)
    blocks = [block(kept), block(rejected)]
    sheet = Image.new("RGB", (2 * half + 6 * GAP, max(len(part) for part in blocks)), WHITE)
    for part, left in zip(blocks, (0, half + 6 * GAP), strict=True):
        sheet.paste(Image.fromarray(part), (left, 0))
    return np.array(sheet)


def stacked(parts: Sequence[Picture]) -> Picture:
    """Pictures one below the other, flush left, on white."""
    sheet = Image.new("RGB", (max(p.shape[1] for p in parts), sum(p.shape[0] + 2 * GAP for p in parts)), WHITE)
    top = 0
    for part in parts:
        sheet.paste(Image.fromarray(part), (0, top))
        top += part.shape[0] + 2 * GAP
    return np.array(sheet)


def block(candidates: Sequence[Candidate]) -> Picture:
    """One caption and one line of pictures per candidate, below the titles of the columns."""
    return grid([pictures(one) for one in candidates], COLUMNS, captions=[verdict(one) for one in candidates])


def verdict(one: Candidate) -> tuple[str, Colour]:
    """What is written above a candidate: its uid, whether it was kept, its words; red when it was not."""
    said, colour = (f"rejected: {one.reason}", RED) if one.reason else ("kept", GREEN)
    return f"{one.uid}   {said}   {one.words}", colour


def pictures(one: Candidate) -> list[Picture]:
    """What the five COLUMNS show of a candidate."""
    seed = np.repeat(one.seed[..., None], 3, axis=2)
    cutout = on_checkerboard(one.image, one.mask)
    return [one.image, heat(one.image, one.attribution), seed, outlined(one.image, one.mask), cutout]


def legend(colours: Mapping[str, Sequence[int] | NDArray[np.uint8]], width: int) -> Picture:
    """A line of colour patches with their names, wrapped at `width` pixels."""
    cell = 120
    per_line = max(1, width // cell)
    sheet = Image.new("RGB", (width, LINE * (-(-len(colours) // per_line))), WHITE)
    for number, (name, colour) in enumerate(colours.items()):
        left, top = number % per_line * cell, number // per_line * LINE
        ImageDraw.Draw(sheet).rectangle((left, top + 4, left + 12, top + 16), fill=tuple(map(int, colour)), outline=INK)
        write(sheet, (left + 18, top + 3), name)
    return np.array(sheet)


def spaced(items: Sequence[Item], count: int) -> list[Item]:
    """`count` of the items (all, when there are fewer), evenly spaced over their order."""
    if len(items) <= count:
        return list(items)
    return [items[k * len(items) // count] for k in range(count)]


def in_turns(groups: Mapping[str, Sequence[str]], count: int) -> list[str]:
    """At most `count` different items, the first of each group, then the second of each, and so on."""
    longest = max(map(len, groups.values()), default=0)
    turns = [group[k] for k in range(longest) for group in groups.values() if k < len(group)]
    return list(dict.fromkeys(turns))[:count]
