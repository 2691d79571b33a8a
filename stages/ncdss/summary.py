"""summary: the rows side by side, over all seeds, of `test`; and a page to look at.

in       data/ncdss/evaluated/, data/ncdss/{regions.json,regions,clusters.json,clusters.csv,ranked}, data/photos,
         models/ncdss (for the predictions of the page), params ncdss.{data,rows,seeds}
out      metrics/ncdss/summary.json: row -> novel_mIoU, base_mIoU, mIoU, each {"mean", "std"} in percent, of test;
         preset and purities beside them
         metrics/ncdss/iou.csv: split, row, class, IoU, std
         data/ncdss/report/: index.html, regions.png, clusters.png, predictions.png
command  python -m stages.ncdss.summary
cost     20 seconds on one core
expect   basic < eums < both
source   ours; the paper's only measure is novel_mIoU
"""

from __future__ import annotations

import argparse
import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from stages.ncdss.params import Ncdss, Params
from stages.parts.command import command
from stages.parts.errors import GraftError
from stages.parts.sections import read
from stages.parts.store.atomic import write_changed, write_csv, write_whole

if TYPE_CHECKING:
    from stages.parts.store.shards import Shards

EVALUATED, REPORT, METRICS = Path("data/ncdss/evaluated"), Path("data/ncdss/report"), Path("metrics/ncdss")
CLUSTERS = Path("data/ncdss/clusters.json")
# (stage, row of params.yaml) -> what it is called in a table. What has clusters without names is matched to the truth.
CALLED = {
    ("basic", "exact"): "basic", ("basic", "overclustered"): "basic_overclustered", ("basic", "named"): "basic_named",
    ("basic", "cutouts"): "cutouts", ("basic", "both"): "basic_both", ("basic", "long"): "basic_long",
    ("basic", "supervised"): "supervised", ("eums", "exact"): "eums", ("eums", "overclustered"): "eums_overclustered",
    ("eums", "named"): "eums_named", ("eums", "both"): "both",
}  # fmt: skip
MEASURES = ("novel_mIoU", "base_mIoU", "mIoU")
SHOWN, REGIONS_SHOWN = 8, 10  # pictures of a sheet, regions of a cluster
PAGE = Path(__file__).with_name("page.html")


@command
def main(argv: Sequence[str] | None = None) -> None:
    argparse.ArgumentParser(
        prog="python -m stages.ncdss.summary", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    ).parse_args(argv)
    ncdss = read(Params).ncdss
    from stages.ncdss.training import parts_of  # here, for torch and mmseg take seconds to load

    parts = parts_of(ncdss.data)
    results = {split: rows_of(ncdss, split, parts.novel) for split in ("val", "test")}
    told: dict[str, Any] = {
        row: {name: spread(each[name]) for name in MEASURES} for row, each in results["test"].items()
    }
    write_changed(
        METRICS / "summary.json", json.dumps({"preset": ncdss.preset, **told, **purities(ncdss)}, indent=1) + "\n"
    )
    write_csv(METRICS / "iou.csv", ("split", "row", "class", "IoU", "std"), class_rows(results))
    draw(ncdss, told)
    for row, each in told.items():
        print(
            f"{row:32}" + "".join(f"{name} {each[name]['mean']:5.1f} ± {each[name]['std']:.1f}   " for name in MEASURES)
        )


def rows_of(ncdss: Ncdss, split: str, novel: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Row -> {measure: one number a seed, "IoU": {class: one a seed}} in percent. An over-clustered network is told
    twice: by majority, as published, and one to one, the control, for many to one is the easier matching."""
    found: dict[str, dict[str, Any]] = {}
    for stage, rows in (("basic", ncdss.rows.basic), ("eums", ncdss.rows.eums)):
        for row in rows:
            for seed in ncdss.seeds:
                path = EVALUATED / f"{stage}-{row}-{seed}.json"
                if not path.is_file():
                    raise GraftError(f"{path} is missing; run `python -m stages.ncdss.evaluate`")
                result = json.loads(path.read_text())
                for name, matching in told_by(CALLED[stage, row], result["matched"], row):
                    counts = np.array(result["counts"][split])
                    measured = measures(counts, np.array(matching), result["classes"], novel)
                    mine = found.setdefault(name, {measure: [] for measure in MEASURES} | {"IoU": {}})
                    for measure in MEASURES:
                        mine[measure].append(measured[measure])
                    for each, value in measured["IoU"].items():
                        mine["IoU"].setdefault(each, []).append(value)
    return found


def told_by(name: str, matched: Mapping[str, list[int]], row: str) -> list[tuple[str, list[int]]]:
    """(what a network is called, the class of each of its outputs) for each matching that it is told by."""
    if "identity" in matched:
        return [(name, matched["identity"])]
    if row == "overclustered":
        return [(name, matched["many_to_one"]), (f"{name}_one_to_one", matched["one_to_one"])]
    return [(name, matched["one_to_one"])]


def measures(
    counts: NDArray[np.int64], matched: NDArray[np.int64], classes: Sequence[str], novel: Sequence[str]
) -> dict[str, Any]:
    """IoU of each class and the three means in percent, of counts (outputs, classes). Background is a base class."""
    from stages.parts.measure.matching import scores

    iou, mean, _ = scores(counts, matched)
    each = dict(zip(classes, (float(value) for value in iou), strict=True))
    means = {
        "novel_mIoU": float(np.nanmean([each[name] for name in classes if name in novel])),
        "base_mIoU": float(np.nanmean([each[name] for name in classes if name not in novel])),
    }
    return {"IoU": each, "mIoU": float(mean), **means}


def spread(values: Sequence[float]) -> dict[str, float]:
    """Mean and sample standard deviation; of one value 0."""
    deviation = float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
    return {"mean": round(float(np.mean(values)), 2), "std": round(deviation, 2)}


def class_rows(results: Mapping[str, dict[str, dict[str, Any]]]) -> list[list[Any]]:
    return [
        [split, row, name, told["mean"], told["std"]]
        for split, rows in results.items()
        for row, each in rows.items()
        for name, told in ((name, spread(values)) for name, values in each["IoU"].items())
    ]


def purities(ncdss: Ncdss) -> dict[str, Any]:
    """Of regions, clusters, names and clean splits: shares that are right, in the mean over seeds."""
    clusters, regions = json.loads(CLUSTERS.read_text()), json.loads(Path("data/ncdss/regions.json").read_text())
    found: dict[str, Any] = {"regions": {name: regions[name] for name in ("purity", "recall", "without_saliency")}}
    found["clusters"] = {
        name: {"purity": clusters[name]["purity"], "named_right": clusters[name]["named_right"]}
        for name in ("exact", "overclustered", "named")
    }
    for row in ncdss.rows.eums:
        seeds = [json.loads(Path(f"data/ncdss/ranked/{row}-{seed}.json").read_text()) for seed in ncdss.seeds]
        shares = ("clean_right", "unclean_right")
        found.setdefault("ranked", {})[row] = {
            name: round(float(np.mean([each[name] for each in seeds])), 4) for name in shares
        }
    return {"shares": found}


def draw(ncdss: Ncdss, told: Mapping[str, Mapping[str, Mapping[str, float]]]) -> None:
    """The page and its three sheets."""
    from stages.parts.datasets.photo_shards import PhotoShards
    from stages.parts.discovery.regions import Found
    from stages.parts.discovery.splits import Chosen
    from stages.parts.drawing.sheets import grid, outlined
    from stages.parts.store.pictures import png_array, png_bytes
    from stages.parts.store.shards import Shards

    photos, regions = PhotoShards(Path(ncdss.data.photos, "train")), Shards("data/ncdss/regions")

    lines = []
    for row in [row for row in regions.rows if row["regions"]][:SHOWN]:
        files, image = regions.read(row["uid"]), png_array(photos.read(row["uid"])["image.png"])
        found = Found(png_array(files["label.png"]), png_array(files["regions.png"]))
        lines.append([image, outlined(image, found.regions), outlined(image, found.label)])
    write_whole(REPORT / "regions.png", png_bytes(grid(lines, ("picture", "regions", "base or in doubt"))))
    write_whole(REPORT / "clusters.png", png_bytes(_clusters(photos, regions)))
    test = Chosen(
        Path(ncdss.data.photos, "test"),
        [row["uid"] for row in PhotoShards(Path(ncdss.data.photos, "test")).rows[:SHOWN]],
    )
    write_whole(REPORT / "predictions.png", png_bytes(_predictions(ncdss, test)))
    table = "".join(
        f"<tr><td>{row}"
        + "".join(f"<td>{each[name]['mean']:.1f} ± {each[name]['std']:.1f}" for name in MEASURES)
        + "</tr>"
        for row, each in told.items()
    )
    pure = json.loads(Path("data/ncdss/regions.json").read_text())["purity"]
    page = PAGE.read_text().format(
        novel=", ".join(ncdss.data.novel) or ncdss.data.fold,
        seeds=ncdss.seeds,
        preset=ncdss.preset,
        table=table,
        regions=pure,
    )
    write_whole(REPORT / "index.html", page)


def _clusters(photos: Shards, regions: Shards) -> NDArray[np.uint8]:
    """A line of regions for each cluster of each partition, under its name and purity."""
    from stages.parts.discovery.pooling import isolated
    from stages.parts.drawing.sheets import INK, grid
    from stages.parts.store.pictures import png_array

    table = list(csv.DictReader(Path("data/ncdss/clusters.csv").read_text().splitlines()))
    about, lines, captions = json.loads(CLUSTERS.read_text()), [], []
    for partition in ("exact", "overclustered", "named"):
        said = about[partition]
        for cluster in range(said["clusters"]):
            members = [row for row in table if int(row[partition]) == cluster]
            tiles = []
            for row in members[:REGIONS_SHOWN]:
                image = png_array(photos.read(row["uid"])["image.png"])
                numbers = png_array(regions.read(row["uid"])["regions.png"])
                tiles.append(isolated(image, numbers == int(row["region"]), 64))
            name = said["names"][cluster] if said["names"] else "no name"
            lines.append(tiles)
            captions.append(
                (f"{partition} {cluster}: {name}, {len(members)} regions, purity {said['purities'][cluster]:.2f}", INK)
            )
    return grid(lines, [""] * REGIONS_SHOWN, height=64, widths=(64,), captions=captions)


def _predictions(ncdss: Ncdss, photos: Shards) -> NDArray[np.uint8]:
    """Picture, truth, and what each row's first seed says."""
    from stages.ncdss.evaluate import predictions
    from stages.ncdss.training import parts_of
    from stages.parts.discovery.networks import load_network
    from stages.parts.drawing.colours import palette
    from stages.parts.drawing.sheets import grid
    from stages.parts.store.pictures import png_array

    parts = parts_of(ncdss.data)
    ids = np.array([parts.space.id(name) for name in parts.names] + [255])
    colours, columns = palette(parts.space, parts.novel), {}
    for stage, rows in (("basic", ncdss.rows.basic), ("eums", ncdss.rows.eums)):
        for row in rows:
            name = f"{row}-{ncdss.seeds[0]}"
            network, _ = load_network(Path(f"models/ncdss/{stage}/{name}.safetensors"))
            result = json.loads((EVALUATED / f"{stage}-{name}.json").read_text())
            matched = np.array(told_by("", result["matched"], row)[0][1])
            columns[CALLED[stage, row]] = [
                (colours[ids[matched[found]]], colours[ids[np.minimum(truth, len(parts.names))]])
                for found, truth in predictions(network, photos, parts, ncdss, name)
            ]
    first = next(iter(columns.values()))
    images = [png_array(photos.read(row["uid"])["image.png"]) for row in photos.rows]
    lines = [[image, first[k][1], *(column[k][0] for column in columns.values())] for k, image in enumerate(images)]
    return grid(lines, ("picture", "truth", *columns))


if __name__ == "__main__":
    main()
