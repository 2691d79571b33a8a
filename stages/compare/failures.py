"""The worst pictures of each line: those of which its result gets the fewest labelled pixels right.

Every function gives (uid, picture, truth, prediction) of pictures of test, of the first seed; truth and prediction are
(H, W) of class ids, 255 where there is no label. What a line has not kept is predicted again with its weights.
"""

from __future__ import annotations

import heapq
import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stages.compare.primaps_pictures import told_pictures
from stages.parts.datasets.label_spaces import label_space
from stages.parts.datasets.labels import IGNORE, LABELS
from stages.parts.drawing import sheets
from stages.parts.drawing.colours import palette
from stages.parts.sections import read
from stages.parts.store.pictures import png_array
from stages.parts.store.shards import Shards
from stages.preflight import Params

SHOWN = 6
Plane = NDArray[np.uint8]
Seen = tuple[str, sheets.Picture, Plane, Plane]


def worst_sheet(pictures: Iterable[Seen], colours: NDArray[np.uint8], shown: int = SHOWN) -> sheets.Picture:
    """A line for each of the worst pictures, the worst first: picture, truth, prediction, and what share is right."""
    worst = heapq.nsmallest(shown, pictures, key=lambda one: (share_right(one[2], one[3]), one[0]))
    lines = [[image, colours[truth], colours[found]] for _, image, truth, found in worst]
    captions = [(f"{uid}: {100 * share_right(truth, found):.0f} % right", sheets.INK) for uid, _, truth, found in worst]
    return sheets.grid(lines, ("picture", "truth", "prediction"), widths=(256,), captions=captions)


def share_right(truth: Plane, found: Plane) -> float:
    """Of the labelled pixels; 1 where none is."""
    labelled = truth != IGNORE
    return float((truth == found)[labelled].mean()) if labelled.any() else 1.0


def of_ucg(params: Params) -> tuple[Iterator[Seen], NDArray[np.uint8]]:
    scenes = Shards("data/scenes/test")
    predicted = Shards(f"data/evaluated/{params.recipes[-1]}-{params.seeds[0]}/test")

    def pictures() -> Iterator[Seen]:
        for row in scenes.rows:
            files = scenes.read(row["uid"])
            found = png_array(predicted.read(row["uid"])["prediction.png"])
            yield row["uid"], png_array(files["image.png"]), png_array(files["label.png"]), found

    return pictures(), palette(LABELS, params.classes)


def of_primaps(params: Params) -> tuple[Iterator[Seen], NDArray[np.uint8]]:
    told = told_pictures(params, ("em",))
    space = label_space(params.primaps.datasets[params.primaps.sets[0]].labels)
    return ((uid, image, label, said["em"]) for uid, image, label, said in told), palette(space, ())


def of_ncdss(params: Params) -> tuple[Iterator[Seen], NDArray[np.uint8]]:
    from stages.ncdss.evaluate import predictions
    from stages.ncdss.training import parts_of
    from stages.parts.datasets.photo_shards import PhotoShards
    from stages.parts.discovery.networks import load_network
    from stages.parts.discovery.splits import Chosen

    ncdss = params.ncdss
    parts, row = parts_of(ncdss.data), f"{ncdss.rows.eums[-1]}-{ncdss.seeds[0]}"
    ids = np.array([*(parts.space.id(name) for name in parts.names), IGNORE], np.uint8)
    folder = Path(ncdss.data.photos, "test")
    photos = Chosen(folder, [one["uid"] for one in PhotoShards(folder).rows])
    network, _ = load_network(Path(f"models/ncdss/eums/{row}.safetensors"))
    matched = json.loads(Path(f"data/ncdss/evaluated/eums-{row}.json").read_text())["matched"]
    classes = np.array(matched.get("identity") or matched["one_to_one"])

    def pictures() -> Iterator[Seen]:
        for one, (found, truth) in zip(photos.rows, predictions(network, photos, parts, ncdss, row), strict=True):
            image = png_array(photos.read(one["uid"])["image.png"])
            yield one["uid"], image, ids[np.minimum(truth, len(parts.names))], ids[classes[found]]

    return pictures(), palette(parts.space, parts.novel)


def of_dataset_diffusion(params: Params) -> tuple[Iterator[Seen], NDArray[np.uint8]]:
    """Of the photos whose predictions the line keeps."""
    from stages.parts.datasets.photo_shards import PhotoShards

    line = params.dataset_diffusion
    variant = "full" if "full" in line.variants else line.variants[0]
    predicted = Shards(f"data/dataset_diffusion/evaluated/{variant}-{line.seeds[0]}/examples")
    photos = PhotoShards(Path(line.photos) / "test")

    def pictures() -> Iterator[Seen]:
        for row in predicted.rows:
            files = photos.read(row["uid"])
            found = png_array(predicted.read(row["uid"])["prediction.png"])
            yield row["uid"], png_array(files["image.png"]), png_array(files["label.png"]), found

    return pictures(), palette(label_space(line.space), ())


OF_LINE: dict[str, Callable[[Params], tuple[Iterator[Seen], NDArray[np.uint8]]]] = {
    "ucg": of_ucg, "primaps": of_primaps, "ncdss": of_ncdss, "dataset_diffusion": of_dataset_diffusion,
}  # fmt: skip


def failures_sheet(folder: str) -> sheets.Picture:
    """The sheet of a line, by the name of its folder in lines/."""
    pictures, colours = OF_LINE[folder](read(Params))
    return worst_sheet(pictures, colours)
