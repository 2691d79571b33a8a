"""rank: which pseudo-labelled pictures are clean, by the entropy of what basic says of their novel pixels [2.5].

in       data/photos/train (labels for the purity alone), data/ncdss/{regions,clusters.csv,clusters.json},
         models/ncdss/basic/ROW-SEED.safetensors, params ncdss.{data,rank}
out      data/ncdss/ranked/ROW-SEED.csv: uid, score, clean (0 or 1), sorted by uid
         data/ncdss/ranked/ROW-SEED.json: how many of each, and of each the share of pictures whose label is right
command  python -m stages.ncdss.rank ROW SEED
cost     10 seconds on one core
expect   clean pictures are right more often than the others
source   NCDSS, section 3.4, equations 6 to 8, λ = 0.67; the quota per class is ours
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from stages.ncdss.params import EUMS, Ncdss, Params
from stages.parts.command import command
from stages.parts.datasets.labels import IGNORE
from stages.parts.sections import read
from stages.parts.store.atomic import write_changed, write_csv

if TYPE_CHECKING:
    from mmseg.models import EncoderDecoder

    from stages.parts.discovery.views import PseudoLabel

OUT, BASIC = Path("data/ncdss/ranked"), Path("models/ncdss/basic")


@command
def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m stages.ncdss.rank", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("row", choices=EUMS)
    parser.add_argument("seed", type=int)
    args = parser.parse_args(argv)
    params = read(Params)
    from stages.ncdss import training  # here, for torch and mmseg take seconds to load
    from stages.parts.discovery.networks import load_network
    from stages.parts.discovery.ranking import clean_split

    ncdss, cell = params.ncdss, f"{args.row}-{args.seed}"
    network, _ = load_network(BASIC / f"{cell}.safetensors")
    _, labels = training.pseudo_labels(ncdss, args.row)
    assert labels is not None
    uids = sorted(labels.classes)
    scores, classes = scored(ncdss, network, labels, uids)
    clean = clean_split(scores, ncdss.rank.share, classes if ncdss.rank.quota else None)
    write_csv(
        OUT / f"{cell}.csv",
        ("uid", "score", "clean"),
        ((uid, f"{score:.6f}", int(kept)) for uid, score, kept in zip(uids, scores, clean, strict=True)),
    )
    right = agreement(ncdss, args.row in ("named", "both"), labels, uids)
    about: dict[str, Any] = {"preset": ncdss.preset, "clean": int(clean.sum()), "unclean": int((~clean).sum())}
    for name, of in (("clean_right", clean), ("unclean_right", ~clean)):
        about[name] = round(float(np.mean(right[of])), 4) if of.any() else None
    write_changed(OUT / f"{cell}.json", json.dumps(about, indent=1) + "\n")
    print(f"ncdss rank {cell}: {about}")


def scored(
    ncdss: Ncdss, network: EncoderDecoder, labels: PseudoLabel, uids: Sequence[str]
) -> tuple[list[float], list[int]]:
    """Of each picture the entropy score (ranking.image_score) and its main novel class, un-augmented."""
    import cv2
    from tqdm import tqdm

    from stages.ncdss.training import parts_of
    from stages.parts.datasets.photo_shards import PhotoShards
    from stages.parts.discovery import ranking
    from stages.parts.discovery.networks import probabilities, together

    photos, base = PhotoShards(Path(ncdss.data.photos, "train")), len(parts_of(ncdss.data).base)
    scores, classes = [], []
    bar = tqdm(total=len(uids), desc="ncdss rank", unit="image", delay=2, leave=False)
    for group, images in together(photos, uids, ncdss.data.size):
        uncertain = ranking.entropy(probabilities(network, images).double()).numpy()
        for uid, each in zip(group, uncertain, strict=True):
            label = np.asarray(cv2.resize(labels.of(uid), each.shape[::-1], interpolation=cv2.INTER_NEAREST), np.uint8)
            scores.append(ranking.image_score(each, label, base))
            classes.append(ranking.main_class(label, base))
        bar.update(len(group))
    bar.close()
    return scores, classes


def agreement(ncdss: Ncdss, named: bool, labels: PseudoLabel, uids: Sequence[str]) -> NDArray[np.bool_]:
    """Whether more than half of a picture's pseudo-labelled novel pixels show their class: for the report alone. A
    cluster without a name counts as the class that most of its pixels show."""
    from stages.ncdss.training import parts_of
    from stages.parts.datasets.photo_shards import PhotoShards
    from stages.parts.store.pictures import png_array

    parts, photos = parts_of(ncdss.data), PhotoShards(Path(ncdss.data.photos, "train"))
    base, keep = len(parts.base), parts.remap(keep_novel=True)
    pairs = [(labels.of(uid), keep[png_array(photos.read(uid)["label.png"])]) for uid in uids]
    counts = np.zeros((256, 256), np.int64)
    for label, truth in pairs:
        np.add.at(counts, (label[label > base], truth[label > base]), 1)
    meant = np.arange(256) if named else counts[:, base + 1 : len(parts.names)].argmax(axis=1) + base + 1
    right = []
    for label, truth in pairs:
        novel = (label > base) & (label != IGNORE) & (truth != IGNORE)
        right.append(bool(novel.any() and (meant[label[novel]] == truth[novel]).mean() > 0.5))
    return np.array(right)


if __name__ == "__main__":
    main()
