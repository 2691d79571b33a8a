"""What the datasets hold: pixels and images of every class, the absent and the rare, a histogram, contact sheets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray
from tqdm import tqdm

from stages.parts.datasets.labels import IGNORE, LABELS
from stages.scenes.sources import Scene, Source, Split

# A class is rare when a segmenter would see it in fewer than one image in a hundred, or as hardly a pixel.
RARE_IMAGES, RARE_PIXELS = 0.01, 0.0001
SHOWN = 8


@dataclass(frozen=True)
class Tally:
    """Of one split: `pixels` and `images` are (256,) int64, by train id; both 0 everywhere without labels."""

    title: str
    count: int
    pixels: NDArray[np.int64]
    images: NDArray[np.int64]

    @property
    def labelled(self) -> bool:
        return bool(self.pixels.any())

    @property
    def share(self) -> NDArray[np.float64]:
        """(classes,) share of the pixels that are not ignored; 0 when there is none."""
        counted = self.pixels[: len(LABELS.names)]
        return counted / max(int(counted.sum()), 1)

    def state(self, train_id: int) -> str:
        """ "absent", "rare" or "" of a labelled split."""
        if not self.images[train_id]:
            return "absent"
        rare = self.images[train_id] < RARE_IMAGES * self.count or self.share[train_id] < RARE_PIXELS
        return "rare" if rare else ""


def tally(title: str, scenes: Source) -> tuple[Tally, list[Scene]]:
    """The counts over all scenes, and SHOWN of them, evenly spread."""
    pixels, images = np.zeros(256, np.int64), np.zeros(256, np.int64)
    uids = scenes.uids
    chosen = set(np.linspace(0, len(uids) - 1, min(SHOWN, len(uids))).round().astype(int).tolist())
    shown = []
    for number, uid in enumerate(tqdm(uids, desc=f"check {title}", unit="image", delay=2, leave=False)):
        image, label = scenes.scene(uid)
        if number in chosen:
            shown.append((image, label))
        if label is not None:
            counted = np.bincount(label.ravel(), minlength=256)
            pixels += counted
            images += counted > 0
    return Tally(title, len(uids), pixels, images), shown


def table(tallies: Sequence[Tally]) -> str:
    """One line per class: share of the labelled pixels and number of images in each split, and what it lacks."""
    known = [one for one in tallies if one.labelled]
    lines = [f"{'':14}" + "".join(f"{f'{one.title}, {one.count} images':>34}" for one in known)]
    for train_id, name in enumerate(LABELS.names):
        cells = (
            f"{one.share[train_id]:>10.3%} {one.images[train_id]:>8} images {one.state(train_id):>7}" for one in known
        )
        lines.append(f"{name:14}" + "".join(f"{cell:>34}" for cell in cells))
    ignored = (f"{one.pixels[IGNORE] / one.pixels.sum():>10.3%} of all pixels       " for one in known)
    lines.append(f"{'(ignored)':14}" + "".join(f"{cell:>34}" for cell in ignored))
    return "\n".join(
        [*lines, *(f"{one.title}: {one.count} images without labels" for one in tallies if not one.labelled)]
    )


def advice(tallies: Mapping[Split, Tally]) -> str:
    """Which classes the source lacks or nearly lacks although val holds them: what is worth adding."""
    source, val = tallies["source"], tallies["val"]
    lacked = [i for i in range(len(LABELS.names)) if source.state(i)]
    if worth := [LABELS.names[i] for i in lacked if val.images[i]]:
        return f"worth adding (in val, but absent or rare in source): {', '.join(worth)}"
    return "the source holds every class that val holds"


def histogram(tallies: Sequence[Tally]) -> Figure:
    """A bar per class and labelled split: share of pixels on a logarithmic axis, so that the rare ones show."""
    known = [one for one in tallies if one.labelled]
    figure, axes = plt.subplots(figsize=(10, 4), layout="constrained")
    places, width = np.arange(len(LABELS.names)), 0.8 / max(len(known), 1)
    for number, one in enumerate(known):
        axes.bar(places + (number + 0.5) * width - 0.4, 100 * one.share, width, label=one.title)
    axes.set_yscale("log")
    axes.set_ylabel("labelled pixels, %")
    axes.set_xticks(places, LABELS.names, rotation=45, ha="right")
    axes.legend()
    return figure


def sheet(title: str, shown: Sequence[Scene]) -> Figure:
    """Each image over its label in the palette's colours, with a legend of the classes that occur."""
    figure, grid = plt.subplots(2, len(shown), figsize=(2.5 * len(shown), 4.5), squeeze=False, layout="constrained")
    for column, (image, label) in enumerate(shown):
        grid[0, column].imshow(image)
        if label is not None:
            grid[1, column].imshow(LABELS.colourise(label))
    for axes in grid.flat:
        axes.axis("off")
    labels = [label for _, label in shown if label is not None]
    present = sorted(set(np.unique(np.concatenate([label.ravel() for label in labels])).tolist())) if labels else []
    patches = [Patch(color=LABELS.palette[i] / 255, label=LABELS.names[i]) for i in present if i != IGNORE]
    if patches:
        figure.legend(handles=patches, loc="outside lower center", ncols=min(len(patches), 10))
    figure.suptitle(title)
    return figure


def check(sources: Mapping[Split, Source], folder: Path) -> None:
    """Print the table and the advice, write histogram.png and one contact sheet per split into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    tallies: dict[Split, Tally] = {}
    for split, scenes in sources.items():
        tallies[split], shown = tally(split, scenes)
        _save(sheet(split, shown), folder / f"{split}.png")
    _save(histogram(list(tallies.values())), folder / "histogram.png")
    print(table(list(tallies.values())))
    print(f"\nrare: in fewer than {RARE_IMAGES:.0%} of the images, or fewer than {RARE_PIXELS:.2%} of the pixels")
    print(advice(tallies))
    print(f"drawn: {folder}/histogram.png and {', '.join(f'{split}.png' for split in sources)}")


def _save(figure: Figure, path: Path) -> None:
    figure.savefig(path, dpi=80)
    plt.close(figure)
