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

import numpy as np

from stages.ncdss.params import EUMS, Params
from stages.parts.command import command
from stages.parts.sections import read
from stages.parts.store.atomic import write_changed, write_csv

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
    scores, classes = training.scored(ncdss, network, labels, uids)
    clean = clean_split(scores, ncdss.rank.share, classes if ncdss.rank.quota else None)
    write_csv(
        OUT / f"{cell}.csv",
        ("uid", "score", "clean"),
        ((uid, f"{score:.6f}", int(kept)) for uid, score, kept in zip(uids, scores, clean, strict=True)),
    )
    right = training.agreement(ncdss, args.row, labels, uids)
    about = {"preset": ncdss.preset, "clean": int(clean.sum()), "unclean": int((~clean).sum())}
    for name, of in (("clean_right", clean), ("unclean_right", ~clean)):
        about[name] = round(float(np.mean(right[of])), 4) if of.any() else None
    write_changed(OUT / f"{cell}.json", json.dumps(about, indent=1) + "\n")
    print(f"ncdss rank {cell}: {about}")


if __name__ == "__main__":
    main()
