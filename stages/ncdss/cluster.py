"""cluster: the regions' clusters, and what the cutouts call them [2.3, steps 4 to 6; the bridge].

in       data/photos/train (labels for the purity alone), data/ncdss/regions/, data/cutouts/grafted/ (if a row needs
         names), the encoder, params ncdss.{data,cluster}
out      data/ncdss/clusters.csv: uid, region, then the cluster in each of the partitions exact, overclustered, named
         data/ncdss/clusters.json: of each partition the clusters' number, names by the nearest cutouts, purity;
         the regions' true classes, for the page
command  python -m stages.ncdss.cluster
cost     20 seconds on one core
expect   purity of 0.79, at three clusters and at twelve; every cluster named right
source   NCDSS, section 3.2, equation 3; names by cutouts are ours

No feature is written: a region's is one vector, and all of them are held at once.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from stages.ncdss.params import Cluster, Params
from stages.parts.command import command
from stages.parts.errors import GraftError
from stages.parts.sections import read
from stages.parts.store.atomic import write_changed, write_csv

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from stages.parts.discovery.looks import Look
    from stages.parts.store.shards import Shards

TABLE, ABOUT = Path("data/ncdss/clusters.csv"), Path("data/ncdss/clusters.json")
REGIONS = Path("data/ncdss/regions")
NOTHING = "background"  # what most of a region is that shows no class of the picture's label


@command
def main(argv: Sequence[str] | None = None) -> None:
    argparse.ArgumentParser(
        prog="python -m stages.ncdss.cluster", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    ).parse_args(argv)
    params = read(Params)
    from stages.ncdss import training  # here, for torch and mmseg take seconds to load
    from stages.parts.datasets.photo_shards import PhotoShards
    from stages.parts.discovery import clusters
    from stages.parts.discovery.looks import Look
    from stages.parts.store.shards import Shards

    ncdss, parts = params.ncdss, training.parts_of(params.ncdss.data)
    photos, regions = PhotoShards(Path(ncdss.data.photos, "train")), Shards(REGIONS)
    look = Look(ncdss.cluster.encoder, ncdss.cluster.look)

    # One vector for each region; its true class is for the report alone.
    owners, features, truths = region_features(look, photos, regions, parts.space.names)
    if not owners:
        raise GraftError(f"{REGIONS} holds no region; loosen ncdss.regions in params.yaml")
    project = clusters.principal_axes(features, ncdss.cluster.dimensions, ncdss.cluster.whiten)
    points = project(features)

    # What the root line's cutouts look like, in the same projection.
    known = np.zeros((0, points.shape[1]))
    classes: list[str] = []
    if ncdss.paste.cutouts is not None:
        seen, classes = cutout_features(look, training.prior(ncdss, parts), parts.novel)
        known = project(seen)

    # The partitions.
    truth_ids = np.array([sorted(set(truths)).index(name) for name in truths])
    table, about = {}, {}
    for name, count in sizes(ncdss.cluster, len(parts.novel)).items():
        owner = clusters.kmeans(points, count, ncdss.cluster.seed, ncdss.cluster.starts)
        names = clusters.names_of(owner, points, known, classes) if classes else None
        pure, each = clusters.purity(owner, truth_ids)
        named = np.mean([names[k] == truth for k, truth in zip(owner, truths, strict=True)]) if names else None
        table[name] = owner
        about[name] = {
            "clusters": count,
            "names": names,
            "purity": round(pure, 4),
            "purities": [round(value, 4) for value in each],
            "named_right": None if named is None else round(float(named), 4),
        }
    rows = ([*place, *(int(table[name][k]) for name in table)] for k, place in enumerate(owners))
    write_csv(TABLE, ("uid", "region", *table), rows)
    write_changed(ABOUT, json.dumps({"preset": ncdss.preset, "truth": truths, **about}, indent=1) + "\n")
    for name, said in about.items():
        print(f"ncdss cluster {name}: purity {said['purity']}, named right {said['named_right']}, {said['names']}")


def sizes(cluster: Cluster, novel: int) -> dict[str, int]:
    """Partition -> number of clusters; exact is as many as there are novel classes unless a number is given."""
    return {"exact": cluster.exact or novel, "overclustered": cluster.overclustered, "named": cluster.named}


def region_features(
    look: Look, photos: Shards, regions: Shards, names: Sequence[str]
) -> tuple[list[tuple[str, int]], NDArray[np.float32], list[str]]:
    """(uid, region) of every region, its features (N, C) float32, and the class that most of its pixels show."""
    from tqdm import tqdm

    from stages.parts.store.samples import png_array

    owners, truths = [], []
    for row, files in tqdm(regions, total=len(regions), desc="ncdss cluster", unit="image", delay=2):
        if row["regions"]:
            seen = photos.read(row["uid"])
            image, numbers = png_array(seen["image.png"]), png_array(files["regions.png"])
            truth = png_array(seen["label.png"])
            masks = [numbers == k for k in range(1, row["regions"] + 1)]
            look.see(image, masks)
            for k, mask in enumerate(masks, 1):
                owners.append((row["uid"], k))
                shown = np.bincount(truth[mask & (truth != 255)], minlength=1)
                truths.append(names[int(shown.argmax())] if shown.argmax() else NOTHING)
    return owners, look.features(), truths


def cutout_features(look: Look, bank: Shards, novel: Sequence[str]) -> tuple[NDArray[np.float32], list[str]]:
    """Features of the cutouts of the novel classes, and their classes."""
    from stages.parts.store.samples import png_array

    classes = []
    for row, files in bank:
        if row["class"] in novel:
            look.see_alone(png_array(files["rgba.png"]))
            classes.append(row["class"])
    return look.features(), classes


if __name__ == "__main__":
    main()
