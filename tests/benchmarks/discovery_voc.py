"""The line on real pictures of a VOC-shaped folder: what regions and clusters come out, or the whole line at full size.

    python -m tests.benchmarks.discovery_voc VOC SALIENCY.onnx VIT.safetensors             # regions and clusters
    python -m tests.benchmarks.discovery_voc VOC SALIENCY.onnx VIT.safetensors --full 512  # every stage

VOC holds images/NAME.jpg, labels/NAME.png (palette ids of VOC's 21 classes) and split.csv (name, split); VIT are
weights named as DINOv2's. The base classes are all but cow, horse and sheep.

Without --full there is no base model (it could not be learned from 43 pictures): regions are what is salient,
connected, above 1.46 % of the picture. The purity is that of the pixels, and of the clusters by the class that most of
a region is. With --full a DeepLabv3 of random weights takes one step in each training, on 6 pictures stretched to the
side: seconds and memory of each stage; its predictions mean nothing.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import resource
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from ruamel.yaml import YAML

from stages.parts.datasets.label_spaces import VOC
from stages.parts.discovery.clusters import kmeans, principal_axes, purity
from stages.parts.discovery.looks import Look
from stages.parts.discovery.regions import Rule, find_regions
from stages.parts.discovery.salient import read_saliency
from stages.parts.store.samples import Sample, build, png_bytes
from tests.benchmarks.dinov2 import dinov2_folder

ROOT = Path(__file__).parents[2]
NOVEL = ("cow", "horse", "sheep")


def read_voc(folder: Path) -> dict[str, list[tuple[str, np.ndarray, np.ndarray]]]:
    """split -> (name, image, label) of every picture."""
    found: dict[str, list] = {}
    with open(folder / "split.csv") as table:
        for row in csv.DictReader(table):
            name, split = Path(next(iter(row.values()))).stem, row["split"]
            (image,), (label,) = folder.rglob(f"{name}.jpg"), folder.rglob(f"{name}.png")
            found.setdefault(split, []).append(
                (name, np.array(Image.open(image).convert("RGB")), np.array(Image.open(label)))
            )
    return found


def check(pictures: list[tuple[str, np.ndarray, np.ndarray]], saliency: str, encoder: str) -> None:
    """Regions and clusters of the pictures with a novel class."""
    tell, look, truths = read_saliency(saliency), Look(encoder, "isolated"), []
    inside = hits = there = 0
    ids = [VOC.id(name) for name in NOVEL]
    for name, image, label in pictures:
        if not np.isin(label, ids).any():
            continue
        (salient,) = tell([image], [name])
        nothing = np.stack([np.ones(label.shape), np.zeros(label.shape)])
        found = find_regions(nothing, salient > 0.5, Rule(min_pixels=0.0146 * label.size, parts=True)).regions
        masks = [found == k for k in range(1, found.max() + 1)]
        look.see(image, masks)
        for mask in masks:
            truths.append(int(np.bincount(label[mask & (label != 255)], minlength=1).argmax()))
        inside += int(((found > 0) & (label != 255)).sum())
        hits += int(((found > 0) & np.isin(label, ids)).sum())
        there += int(np.isin(label, ids).sum())
    features = look.features()
    print(f"{len(truths)} regions of {Counter(VOC.names[k] for k in truths)}")
    print(f"pixels: {hits / inside:.3f} of a region's are novel, {hits / there:.3f} of the novel ones are in a region")
    classes = np.unique(truths, return_inverse=True)[1]
    for dimensions in (4, 8, 16):
        for count in (3, 6):
            points = principal_axes(features, dimensions, False)(features)
            pure, each = purity(kmeans(points, count, 0, 10), classes)
            print(f"PCA {dimensions}, {count} clusters: purity {pure:.3f}, {np.round(each, 2).tolist()}")


def made_of(rows: dict[str, dict[str, Any]], files: dict[str, dict[str, bytes]], uids: list[str]) -> Iterator[Sample]:
    return (Sample(uid, "k", rows[uid], files[uid]) for uid in uids)


def full(pictures: dict[str, list], saliency: str, encoder: str, side: int) -> None:
    """Every stage, in this process, with the published preset shortened."""
    from stages.ncdss import base, basic, cluster, eums, evaluate, rank, regions
    from stages.ncdss.preset import VALUES

    yaml = YAML(typ="safe", pure=True)
    params: dict[str, Any] = yaml.load(ROOT / "params.yaml")
    ncdss = params["ncdss"]
    for name, values in VALUES["parity"].items():
        ncdss[name] = {**ncdss[name], **values} if isinstance(values, dict) else values
    ncdss |= {"seeds": [0], "rows": {"basic": ["exact"], "eums": ["exact"]}}
    ncdss["data"].update(labels="voc", novel=list(NOVEL), size=[side, side])
    ncdss["network"]["encoder"], ncdss["paste"]["cutouts"] = None, None
    ncdss["learning"].update(batch=2, epoch=1)
    ncdss["regions"].update(saliency=saliency)
    ncdss["cluster"].update(encoder=encoder, dimensions=2, overclustered=3, named=3)
    ncdss["eums"].update(reassign=None)
    ncdss["basic"].update(long=1)
    for stage in ("base", "basic", "eums"):
        ncdss[stage]["iterations"] = 1
    yaml.dump(params, Path("params.yaml"))
    shows = lambda label: bool(np.isin(label, [VOC.id(name) for name in NOVEL]).any())  # noqa: E731
    several = [one for one in pictures["train"] if shows(one[2])][:4] + [
        one for one in pictures["train"] if not shows(one[2])
    ][:2]
    for split, chosen in (("train", several), ("val", pictures["val"][:1]), ("test", pictures["val"][1:2])):
        files = {name: {"image.png": png_bytes(image), "label.png": png_bytes(label)} for name, image, label in chosen}
        rows = {name: {"height": label.shape[0], "width": label.shape[1]} for name, _, label in chosen}
        build(
            f"data/photos/{split}",
            dict.fromkeys(files, "k"),
            partial(made_of, rows, files),
            title=split,
        )
    stages: list[tuple[Any, list[str]]] = [
        (base, []), (regions, []), (cluster, []), (basic, ["exact", "0"]), (rank, ["exact", "0"]),
        (eums, ["exact", "0"]), (evaluate, []),
    ]  # fmt: skip
    for stage, arguments in stages:
        start = time.perf_counter()
        stage.main(arguments)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        print(f"{stage.__name__}: {time.perf_counter() - start:.0f} s, peak so far {peak:.1f} GB", flush=True)
    print(json.loads(Path("data/ncdss/regions.json").read_text()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("voc", type=Path)
    parser.add_argument("saliency", type=Path)
    parser.add_argument("vit", type=Path)
    parser.add_argument("--full", type=int, metavar="SIDE")
    args = parser.parse_args()
    pictures, saliency, weights = read_voc(args.voc), str(args.saliency.absolute()), args.vit.absolute()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        dinov2_folder(weights, Path("vit"))
        if args.full:
            full(pictures, saliency, "vit", args.full)
        else:
            check([one for each in pictures.values() for one in each], saliency, "vit")


if __name__ == "__main__":
    main()
