"""evaluate: which output is which class, and the pixel counts of every trained network [3].

in       models/ncdss/{basic,eums}/ROW-SEED.safetensors, data/photos/{val,test}, params ncdss.{data,rows,seeds,evaluate}
out      data/ncdss/evaluated/STAGE-ROW-SEED.json: of each split the counts [output][class], streamed over the pictures;
         the class of each output by each matching, fitted on ncdss.evaluate.match_on: one_to_one, many_to_one, and
         identity where the outputs have names
command  python -m stages.ncdss.evaluate
cost     4 seconds a network on one core; what is there already of the same weights is kept
expect   counts of all labelled pixels
source   NCDSS's evaluation code: IoU of cluster and class over pixels that are novel in both, Hungarian, or each
         cluster's best class. It fits the matching on the pictures that it scores; ours is fitted on val
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from stages.ncdss.params import Ncdss, Params
from stages.parts.command import command
from stages.parts.errors import GraftError
from stages.parts.sections import read
from stages.parts.store.atomic import write_changed

if TYPE_CHECKING:
    from mmseg.models import EncoderDecoder

    from stages.parts.discovery.splits import Discovery
    from stages.parts.measure.matching import Counts
    from stages.parts.store.shards import Shards

OUT, MODELS = Path("data/ncdss/evaluated"), Path("models/ncdss")
SPLITS = ("val", "test")


@command
def main(argv: Sequence[str] | None = None) -> None:
    argparse.ArgumentParser(
        prog="python -m stages.ncdss.evaluate",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    ).parse_args(argv)
    params = read(Params)
    from stages.ncdss.training import index_of, parts_of  # here, for torch and mmseg take seconds to load
    from stages.parts.datasets.photo_shards import PhotoShards
    from stages.parts.store.fingerprint import fingerprint
    from stages.parts.store.keys import file_hash, key

    ncdss = params.ncdss
    parts = parts_of(ncdss.data)
    photos = {split: PhotoShards(Path(ncdss.data.photos, split)) for split in SPLITS}
    made_of = key(
        photos=[file_hash(index_of(shards.folder)) for shards in photos.values()],
        params=[ncdss.evaluate.model_dump(), ncdss.data.model_dump(), params.engine.threads],
        code=fingerprint("stages.ncdss.evaluate"),
    )
    wanted = {name: MODELS / stage / f"{cell}.safetensors" for name, stage, cell in cells(ncdss)}
    for name, path in wanted.items():
        if not path.is_file():
            raise GraftError(f"{path}: no such network; run `dvc repro lines/ncdss/dvc.yaml`")
        own = key(made_of=made_of, weights=file_hash(path))
        out = OUT / f"{name}.json"
        if not (out.is_file() and json.loads(out.read_text()).get("key") == own):
            write_changed(out, json.dumps({"key": own} | evaluated(path, photos, parts, ncdss)) + "\n")
    for path in OUT.glob("*.json"):
        if path.stem not in wanted:
            path.unlink()  # of a row or seed that is no longer asked for


def cells(ncdss: Ncdss) -> list[tuple[str, str, str]]:
    """(STAGE-ROW-SEED, stage, ROW-SEED) of every network."""
    rows = [("basic", row) for row in ncdss.rows.basic] + [("eums", row) for row in ncdss.rows.eums]
    return [(f"{stage}-{row}-{seed}", stage, f"{row}-{seed}") for stage, row in rows for seed in ncdss.seeds]


def evaluated(path: Path, photos: Mapping[str, Shards], parts: Discovery, ncdss: Ncdss) -> dict[str, object]:
    """Counts of every split, and the matchings."""
    from stages.parts.discovery.networks import load_network
    from stages.parts.measure.matching import overlap

    network, outputs = load_network(path)
    counts = {}
    for split, shards in photos.items():
        total = np.zeros((len(outputs), len(parts.names)), np.int64)
        for prediction, truth in predictions(network, shards, parts, ncdss, path.stem):
            total += overlap(prediction, truth, len(outputs), len(parts.names))
        counts[split] = total
    matched = matchings(counts[ncdss.evaluate.match_on], outputs, parts)
    return {
        "preset": ncdss.preset,
        "outputs": list(outputs),
        "classes": list(parts.names),
        "matched": {name: each.tolist() for name, each in matched.items()},
        "counts": {split: total.tolist() for split, total in counts.items()},
    }


def predictions(
    network: EncoderDecoder, shards: Shards, parts: Discovery, ncdss: Ncdss, title: str
) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.uint8]]]:
    """(prediction, truth), (H, W) uint8 each, of every picture, at its own size; truth after the remap, 255 ignored."""
    import torch.nn.functional as F
    from tqdm import tqdm

    from stages.parts.discovery.networks import probabilities, together
    from stages.parts.store.pictures import png_array

    keep = parts.remap(keep_novel=True)
    bar = tqdm(
        total=len(shards), desc=f"ncdss evaluate {title} {shards.folder.name}", unit="image", delay=2, leave=False
    )
    uids = [row["uid"] for row in shards.rows]
    for group, images in together(shards, uids, ncdss.data.size, ncdss.evaluate.batch):
        found = probabilities(network, images)
        for uid, each in zip(group, found, strict=True):
            truth = keep[png_array(shards.read(uid)["label.png"])]
            if each.shape[1:] != truth.shape:
                each = F.interpolate(each[None], truth.shape, mode="bilinear", align_corners=False)[0]
            yield each.argmax(dim=0).numpy().astype(np.uint8), truth
        bar.update(len(group))
    bar.close()


def matchings(counts: Counts, outputs: Sequence[str], parts: Discovery) -> dict[str, np.ndarray]:
    """The class of each output, (outputs,), -1 for none, by each matching; background and base classes are themselves.

    Clusters are matched over the pixels that are novel in prediction and truth alone, by IoU."""
    from stages.parts.measure.matching import identity, iou_matrix, many_to_one, one_to_one

    base = 1 + len(parts.base)
    if tuple(outputs) == parts.names:
        return {"identity": identity(len(outputs))}
    score = iou_matrix(counts[base:, base:])
    found = {"one_to_one": one_to_one(score), "many_to_one": many_to_one(score)}
    return {
        name: np.concatenate([identity(base), np.where(matched < 0, -1, matched + base)])
        for name, matched in found.items()
    }


if __name__ == "__main__":
    main()
