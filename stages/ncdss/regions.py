"""regions: where unlabelled pictures show something that is salient and no base class [2.3, steps 1 to 3].

in       data/photos/train (of the pictures with a novel class; their labels are opened for the purity alone),
         models/ncdss/base.safetensors, the saliency model or folder of maps, params ncdss.{data,regions}
out      data/ncdss/regions/ (of each picture label.png, ŷ_b, and regions.png, the numbers of its regions),
         data/ncdss/regions.json: pictures, those with a region, regions, pixel purity, pictures without a saliency map
command  python -m stages.ncdss.regions
cost     30 seconds on one core
expect   9 of 10 pixels of a region are novel
source   NCDSS, section 3.2; several regions in a picture are ours
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from stages.ncdss.params import Ncdss, Params, Regions
from stages.parts.command import command
from stages.parts.errors import GraftError
from stages.parts.sections import read

if TYPE_CHECKING:
    from stages.parts.discovery.regions import Rule
    from stages.parts.discovery.salient import Saliency
    from stages.parts.discovery.splits import Chosen, Discovery
    from stages.parts.store.samples import Sample

BASE = Path("models/ncdss/base.safetensors")
OUT = Path("data/ncdss/regions")


@command
def main(argv: Sequence[str] | None = None) -> None:
    argparse.ArgumentParser(
        prog="python -m stages.ncdss.regions", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    ).parse_args(argv)
    params = read(Params)
    from stages.ncdss import training  # here, for torch and mmseg take seconds to load
    from stages.parts.datasets.photo_shards import PhotoShards
    from stages.parts.discovery import splits
    from stages.parts.discovery.salient import read_saliency
    from stages.parts.store.fingerprint import fingerprint
    from stages.parts.store.samples import build, file_hash, key
    from stages.parts.store.shards import Shards

    ncdss, parts = params.ncdss, training.parts_of(params.ncdss.data)
    folder = Path(ncdss.data.photos, "train")
    novel = splits.Chosen(folder, splits.pictures_of(PhotoShards(folder).verify(), parts).novel)

    # A picture without a saliency map takes no part, and is named.
    saliency = read_saliency(ncdss.regions.saliency)
    lacking = [row["uid"] for row in novel.rows if not saliency.has(row["uid"])]
    if lacking:
        some = ", ".join(lacking[:5]) + ", ..." * (len(lacking) > 5)
        print(f"regions: {len(lacking)} pictures have no saliency map and are left out: {some}", file=sys.stderr)
    novel = splits.Chosen(folder, [row["uid"] for row in novel.rows if row["uid"] not in set(lacking)])
    if not novel.rows:
        raise GraftError(f"{ncdss.regions.saliency} has no saliency map of any picture; correct ncdss.regions.saliency")

    made_of = {
        "params": {"regions": ncdss.regions.model_dump(), "size": ncdss.data.size, "threads": params.engine.threads},
        "inputs": [file_hash(BASE), saliency.hash()],
        "code": fingerprint("stages.ncdss.regions"),
    }
    keys = {row["uid"]: key(image=row["sha256"], **made_of) for row in novel.rows}
    build(
        OUT,
        keys,
        lambda uids: _found(ncdss, novel, saliency, uids, keys),
        title="ncdss regions",
        beside=("regions.json",),
    )
    summary = counts(Shards(OUT), novel, parts) | {"without_saliency": len(lacking), "lacking": lacking}
    Path("data/ncdss/regions.json").write_text(json.dumps({"preset": ncdss.preset} | summary, indent=1) + "\n")
    shown = {name: value for name, value in summary.items() if name != "lacking"}
    print(f"ncdss regions: {shown}")


def _found(ncdss: Ncdss, novel: Chosen, saliency: Saliency, uids: list[str], keys: dict[str, str]) -> Iterator[Sample]:
    """The regions of these pictures."""
    import cv2
    import numpy as np

    from stages.parts.discovery.networks import load_network, probabilities, together
    from stages.parts.discovery.regions import find_regions
    from stages.parts.store.samples import Sample, png_array, png_bytes

    network, _ = load_network(BASE)
    for group, seen in together(novel, uids, ncdss.data.size):
        found = probabilities(network, seen).numpy()
        images = [png_array(novel.read(uid)["image.png"]) for uid in group]
        for uid, image, p, salient in zip(group, images, found, saliency(images, group), strict=True):
            height, width = image.shape[:2]
            if p.shape[1:] != (height, width):
                p = np.stack([cv2.resize(one, (width, height), interpolation=cv2.INTER_LINEAR) for one in p])
            rule = rule_of(ncdss.regions, height * width)
            result = find_regions(p, salient > ncdss.regions.threshold, rule)
            files = {"label.png": png_bytes(result.label), "regions.png": png_bytes(result.regions)}
            yield Sample(uid, keys[uid], {"regions": int(result.regions.max())}, files)


def rule_of(regions: Regions, pixels: int) -> Rule:
    """The rule for a picture of so many pixels."""
    from stages.parts.discovery.regions import Rule

    least = regions.min_pixels if regions.min_area is None else regions.min_area * pixels
    assert least is not None
    return Rule(regions.tau, regions.grow, regions.opened, least, regions.parts, regions.doubt)


def counts(regions: object, novel: Chosen, parts: Discovery) -> dict[str, float | int]:
    """How many pictures and regions there are; of the regions' pixels, the share that is novel; of the novel pixels,
    the share that is in a region. The labels are opened for this alone."""
    import numpy as np

    from stages.parts.store.samples import png_array
    from stages.parts.store.shards import Shards

    assert isinstance(regions, Shards)
    ids = list(parts.ids(parts.novel))
    inside = hits = there = 0
    for row, files in regions:
        truth = png_array(novel.read(row["uid"])["label.png"])
        region, right = png_array(files["regions.png"]) > 0, np.isin(truth, ids)
        inside += int((region & (truth != 255)).sum())
        hits += int((region & right).sum())
        there += int(right.sum())
    with_one = sum(row["regions"] > 0 for row in regions.rows)
    return {
        "pictures": len(regions.rows),
        "with_region": with_one,
        "regions": sum(row["regions"] for row in regions.rows),
        "purity": round(hits / max(inside, 1), 4),
        "recall": round(hits / max(there, 1), 4),
    }


if __name__ == "__main__":
    main()
