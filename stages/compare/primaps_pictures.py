"""PriMaPs-EM's pictures of test: what its heads say of them, and the sheet from the picture to its classes.

The line keeps proposals and counts, no predictions, so that features are computed here again, for the first pictures of
its first set.
"""

from __future__ import annotations

from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.parts.datasets.label_spaces import label_space
from stages.parts.drawing import sheets
from stages.parts.drawing.colours import palette
from stages.parts.store.pictures import png_array
from stages.parts.store.shards import Shards
from stages.preflight import Params

LOOKED_AT = 60  # pictures that clusters are matched with classes on
SHOWN = 6
Plane = NDArray[np.uint8]
Told = tuple[str, sheets.Picture, Plane, dict[str, Plane]]


def told_pictures(params: Params, rows: tuple[str, ...]) -> list[Told]:
    """Uid, picture, truth and each row's classes (H, W), by the weights of the first seed. rows: baseline, em."""
    from stages.parts.measure.matching import overlap
    from stages.primaps.evaluate import trained_heads
    from stages.primaps.scoring import logits_of, matched, open_data, open_features, plainly

    name = params.primaps.sets[0]
    data, found = open_data(params.primaps, name), trained_heads(name, params.primaps.seeds[0])
    heads = {row: found[row] for row in rows}
    look = plainly(open_features(params.primaps))
    looked = [
        (uid, image, label, {row: one.argmax(0).numpy() for row, one in logits.items()})
        for uid, image, label, logits in islice(logits_of(data.split("test"), heads, look, "primaps"), LOOKED_AT)
    ]
    classes = dict[str, Any]()
    for row, head in heads.items():
        counts = sum(overlap(said[row], label, len(head.weight), data.classes) for _, _, label, said in looked)
        classes[row] = matched(np.asarray(counts), data.where)
    return [
        (uid, image, label, {row: classes[row][said[row]].astype(np.uint8) for row in rows})
        for uid, image, label, said in looked
    ]


def pictures_sheet(params: Params) -> sheets.Picture:
    """A line for each of the first pictures: picture, its proposals each in a colour, truth, k-means, EM."""
    from stages.primaps.propose import FOLDER
    from stages.primaps.show import region_colours

    name = params.primaps.sets[0]
    proposals, apart = Shards(FOLDER / name), region_colours()
    colours = palette(label_space(params.primaps.datasets[name].labels), ())
    lines = [
        [
            image, apart[png_array(proposals.read(f"test-{uid}")["proposals.png"])], colours[truth],
            colours[said["baseline"]], colours[said["em"]],
        ]
        for uid, image, truth, said in told_pictures(params, ("baseline", "em"))[:SHOWN]
    ]  # fmt: skip
    return sheets.grid(lines, ("picture", "proposals", "truth", "k-means", "EM"), widths=(256,))
