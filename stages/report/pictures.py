"""The sheets of the report: what was drawn, cut out, pasted, and how it is segmented in the end."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from stages.parts.datasets.labels import LABELS
from stages.parts.drawing import sheets
from stages.parts.drawing.colours import legend, palette
from stages.parts.store.keeplist import verdicts
from stages.parts.store.samples import Shards, png_array, png_bytes
from stages.report.params import Params
from stages.report.paste import pasted

PLANES = ("image", "attribution", "seed", "mask")  # what refine leaves of a sample
STREET = (145, [290])  # height and width of a street's tile
SHOWN = 8  # kept and rejected samples on a class's sheet, images on the sheet of segmentations


def class_sheet(name: str) -> bytes:
    """PNG of kept samples, evenly spaced, and of rejected ones, every reason in turn."""
    refined, words = Shards(Path("data/refined") / name), prompts(name)
    kept, rejected = verdicts(Path("data/cleaned") / f"{name}.csv")
    reasons = {uid: reason for reason, uids in rejected.items() for uid in uids}
    chosen = [
        [candidate(refined, uid, reasons.get(uid, ""), words.get(uid, "")) for uid in uids]
        for uids in (sheets.spaced(kept, SHOWN), sheets.in_turns(rejected, SHOWN))
    ]
    return png_bytes(sheets.candidate_sheet(*chosen))


def prompts(name: str) -> dict[str, str]:
    """uid -> the prompt that it was drawn from; cutouts that were taken in may have none."""
    return {row["uid"]: row.get("prompt", "") for row in Shards(Path("data/generated") / name).rows}


def candidate(refined: Shards, uid: str, reason: str, words: str) -> sheets.Candidate:
    files = refined.read(uid)
    image, attribution, seed, mask = (png_array(files[f"{plane}.png"]) for plane in PLANES)
    return sheets.Candidate(uid, reason, image, attribution, seed, mask, words)


def example_sheet(classes: Sequence[str]) -> sheets.Picture:
    """One kept sample of every class, from the middle of its keep-list: its words, image, map, seed, mask, cutout, and
    how it looks in a labelled source street."""
    source, colours, lines, captions = Shards("data/scenes/source"), palette(LABELS, classes), [], []
    for name, street in zip(classes, sheets.spaced([row["uid"] for row in source.rows], len(classes)), strict=False):
        kept, _ = verdicts(Path("data/cleaned") / f"{name}.csv")
        words, files = prompts(name), source.read(street)
        for uid in kept[len(kept) // 2 :][:1]:
            one = candidate(Shards(Path("data/refined") / name), uid, "", words.get(uid, ""))
            scene = (png_array(files["image.png"]), png_array(files["label.png"]))
            image, label = pasted(*scene, one.image, one.mask, LABELS.id(name))
            lines.append([*sheets.pictures(one), image, colours[label]])
            captions.append((f"{name}: {one.words or one.uid}", sheets.INK))
    header = [*sheets.COLUMNS, "pasted into a source street", "and into its label"]
    return sheets.grid(lines, header, widths=[*[sheets.TILE] * len(sheets.COLUMNS), 256], captions=captions)


def street_sheet(classes: Sequence[str]) -> sheets.Picture:
    """The two domains side by side: a source street with its label, two target streets, which have none."""
    source, target = Shards("data/scenes/source"), Shards("data/scenes/target")
    files = source.read(source.rows[len(source) // 2]["uid"])
    line = [png_array(files["image.png"]), palette(LABELS, classes)[png_array(files["label.png"])]]
    line += [png_array(target.read(uid)["image.png"]) for uid in sheets.spaced([r["uid"] for r in target.rows], 2)]
    header = ["source: labelled, without the new classes", "its label", "target: unlabelled, with them", ""]
    return sheets.grid([line], header, *STREET)


def segmentation_sheet(params: Params, split: str, shown: int) -> sheets.Picture:
    """The images of a split richest in each novel class, in turn: image, truth, every recipe's prediction."""
    scenes, seed = Shards(f"data/scenes/{split}"), params.seeds[0]
    predicted = {recipe: Shards(f"data/evaluated/{recipe}-{seed}/{split}") for recipe in params.recipes}
    colours, lines, used = palette(LABELS, params.classes), [], set()
    for uid in sheets.in_turns(richest(scenes.rows, params.classes), shown):
        files = scenes.read(uid)
        maps = [png_array(files["label.png"])]
        maps += [png_array(shards.read(uid)["prediction.png"]) for shards in predicted.values()]
        lines.append([png_array(files["image.png"]), *(colours[labels] for labels in maps)])
        used |= {int(k) for k in np.unique(maps)}
    sheet = sheets.grid(lines, ["target image", "truth", *predicted], *STREET)
    return np.concatenate([sheet, sheets.legend(legend(used, LABELS, params.classes), sheet.shape[1])])


def richest(rows: Iterable[Mapping[str, Any]], novel: Sequence[str]) -> dict[str, list[str]]:
    """Novel class -> uids of the images that show it, those with the most of its pixels first."""
    pixels = {row["uid"]: row["pixels"] for row in rows}
    found = {}
    for name in novel:
        count = {uid: pixels[uid].get(str(LABELS.id(name)), 0) for uid in pixels}
        found[name] = sorted((uid for uid in count if count[uid]), key=lambda uid: (-count[uid], uid))
    return found
