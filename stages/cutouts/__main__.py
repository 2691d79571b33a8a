"""cutouts: the bank of cutouts that one training recipe pastes.

in       data/cleaned/*.csv and data/refined/* of every class (nothing for baseline),
         params `classes` and `cutouts`
out      data/cutouts/RECIPE: rgba.png, tight to the mask, alpha 0 or 255; where refine recorded a ring also doubt.png
         and alpha.png in the same frame, but for blobs; rows: class, train_id, height, width
command  python -m stages.cutouts RECIPE
cost     about 0.01 s per sample at 64 px; a changed threshold makes only the newly kept ones
expect   as many cutouts as samples kept over all classes; baseline: none.
         Equal masks of the same images are an equal bank, whatever their scores: training is not repeated for it
source   blobs and shuffled are ours: controls for what the mask and the label contribute to the gain
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.cutouts.crop import framed
from stages.cutouts.params import Params
from stages.cutouts.recipes import labels, recut
from stages.parts.command import command
from stages.parts.datasets.labels import LABELS
from stages.parts.errors import GraftError
from stages.parts.sections import RECIPES, read
from stages.parts.store.fingerprint import fingerprint
from stages.parts.store.keeplist import kept_uids
from stages.parts.store.lock import alone
from stages.parts.store.pictures import check_size
from stages.parts.store.samples import Sample, Shards, build, key, png_array, png_bytes

# What makes a cutout's bytes.
CODE = ("stages.cutouts.crop", "stages.cutouts.recipes", "stages.parts.store.pictures")
EDGE = ("doubt", "alpha")
FOLDER = Path("data/cutouts")


@command
def main(argv: Sequence[str] | None = None) -> None:
    recipe = parser().parse_args(argv).recipe
    if recipe not in RECIPES:
        raise GraftError(f"params.yaml recipes: there is no recipe {recipe!r}; it is one of {', '.join(RECIPES)}")
    params = read(Params)
    with alone(FOLDER / recipe):
        fill(recipe, params)


def fill(recipe: str, params: Params) -> None:
    """Bring the bank of one recipe to hold what was kept."""
    classes, seed = (params.classes if recipe != "baseline" else []), params.cutouts.seed
    refined = {name: Shards(Path("data/refined") / name) for name in classes}
    kept = {uid: name for name in classes for uid in kept_uids(Path("data/cleaned") / f"{name}.csv")}
    label = labels(recipe, kept, seed)
    wanted = keys(recipe, seed, refined, kept, label)

    def make(uids: Iterable[str]) -> Iterator[Sample]:
        for shards in refined.values():
            shards.verify()
        for uid in uids:
            files = refined[kept[uid]].read(uid)
            mask = recut(recipe, uid, png_array(files["mask.png"]) > 0, seed)
            image = png_array(files["image.png"])
            check_size(refined[kept[uid]].folder, uid, image, mask)
            edge = {} if recipe == "blobs" else edge_of(files)  # a blob is not the mask that was doubted
            for what, picture in edge.items():
                check_size(refined[kept[uid]].folder, uid, image, picture, what)
            rgba, beside = framed(image, mask, edge)
            row = {"class": label[uid], "train_id": LABELS.id(label[uid])}
            row |= {"height": rgba.shape[0], "width": rgba.shape[1]}
            made = {f"{name}.png": png_bytes(picture) for name, picture in {"rgba": rgba, **beside}.items()}
            yield Sample(uid, wanted[uid], row, made)

    build(FOLDER / recipe, wanted, make, title=f"cutouts {recipe}")


def edge_of(files: Mapping[str, bytes]) -> dict[str, NDArray[np.uint8]]:
    """doubt and alpha of a refined sample, where refine recorded them."""
    return {name: png_array(files[f"{name}.png"]) for name in EDGE if f"{name}.png" in files}


def keys(
    recipe: str, seed: int, refined: Mapping[str, Shards], kept: Mapping[str, str], label: Mapping[str, str]
) -> dict[str, str]:
    """uid -> key. The seed is part of it only where it draws the mask; the label stands for its own draw."""
    content = {row["uid"]: row["cut"] for shards in refined.values() for row in shards.rows}
    if gone := sorted(label.keys() - content.keys()):
        name = kept[gone[0]]
        raise GraftError(f"data/cleaned/{name}.csv keeps {gone[0]}, which data/refined/{name} lacks; run `dvc repro`")
    made_by: dict[str, Any] = {"code": fingerprint(*CODE)}
    if recipe == "blobs":
        made_by["blobs"] = seed
    return {uid: key(sample=content[uid], label=label[uid], **made_by) for uid in label}


def parser() -> argparse.ArgumentParser:
    recipes = "\n".join(f"  {name:10} {what}" for name, what in RECIPES.items())
    result = argparse.ArgumentParser(
        prog="python -m stages.cutouts",
        description="Make the bank of cutouts that one training recipe pastes.",
        epilog=f"recipes:\n{recipes}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    result.add_argument("recipe", metavar="RECIPE", help="one of the recipes below")
    return result


if __name__ == "__main__":
    main()
