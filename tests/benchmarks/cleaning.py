"""Which scores, and which presets of the cleaner, tell good masks from bad ones, on held-out pages with true masks.

command  python -m tests.benchmarks.cleaning [--first 300 --last 1000]
needs    the held-out pages: python -m stages.miniature.book (40 s)
cost     2 min for 300 pages, 4 min for 700, on one CPU core
says     per score its rank correlation with the true IoU of the mask; per lower limit of the cleaner its 5 % quantile,
         and how high it may be while at least half of what it rejects is bad (IoU below 0.8); what the limit on the
         class score does to an object of its class and of another; per preset how many masks it keeps, their mean IoU,
         and the share of bad masks and of good ones that it rejects

Pages 0 to 299 are the masks' exam: the limits of preset `strict` come from the others.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from scipy.stats import spearmanr
from tqdm import tqdm

from stages.clean.kinds import Limit
from stages.clean.presets import PRESETS
from stages.clean.rules import RULES, judge
from stages.clean.table import HASH, Table
from stages.generate.sampler import load
from stages.miniature.book import Book
from stages.parts.pretrained.clip import Clip
from stages.parts.prompts.zero_shot import texts
from stages.parts.sections import read
from stages.preflight import Params
from stages.refine.__main__ import COLUMNS
from stages.refine.methods import open_method
from stages.refine.refiner import Raw, Refiner
from tests.benchmarks.masks import iou
from tests.benchmarks.pages import Seen, picks, seen

BAD = 0.8


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--first", type=int, default=0, help="first page (default: %(default)s)")
    parser.add_argument("--last", type=int, default=300, help="one past the last page (default: %(default)s)")
    arguments = parser.parse_args(argv)
    torch.set_num_threads(1)
    params, book = read(Params), Book("heldout")
    pages = picks(book, params.classes, arguments.first, arguments.last)
    inputs = seen(load(Path(params.generate.model), params.generate.dtype), book, pages, params.generate.steps)
    table, ious = measured(inputs)
    for column, values in table.scores.items():
        if np.ptp(values) > 0:
            print(f"{column:22} rank correlation with the true IoU {spearmanr(values, ious)[0]:+.2f}")
    for rule in RULES:
        if isinstance(rule, Limit) and rule.reject == "below" and rule.columns[0] in table.scores:
            score = table.scores[rule.columns[0]]
            limit, below = fair_limit(score, ious < BAD)
            quantile = np.nanquantile(score, 0.05)
            fair = f"up to {limit:.3f} half of the {below} below are bad"
            print(f"{rule.param:22} 5 % quantile {quantile:.3f}; {fair}")
    own, limit = table.scores["class_score"], PRESETS["strict"]["min_class_score"]
    other = own - table.scores["class_margin"]  # of the class that the object is taken for next
    told = f"{np.mean(own < limit):.1%} of the objects as what they are, {np.mean(other < limit):.1%} as the next class"
    print(f"a class score below {limit} rejects {told}")
    print(f"\n{len(ious)} masks, mean IoU {ious.mean():.3f}, {np.mean(ious < BAD):.1%} below {BAD}")
    for preset, limits in PRESETS.items():
        kept = np.array([not reason for reason in judge(table, limits).reasons])
        rejected = {name: np.mean(~kept[rows]) for name, rows in (("bad", ious < BAD), ("good", ious >= BAD))}
        shares = ", ".join(f"{share:.0%} of the {name}" for name, share in rejected.items())
        print(f"{preset:8} keeps {kept.sum()}, their mean IoU {ious[kept].mean():.3f}; rejects {shares}")


def fair_limit(score: np.ndarray, bad: np.ndarray) -> tuple[float, int]:
    """The highest limit below which at least half of the scores (n,) belong to bad masks (n,) bool, and how many lie
    below; the lowest score and 0 when there is none."""
    order = np.argsort(score)
    fair = np.flatnonzero(np.cumsum(bad[order]) * 2 >= np.arange(1, len(score) + 1))
    count = int(fair[-1]) + 1 if fair.size else 0
    return float(score[order[min(count, len(score) - 1)]]), count


def measured(inputs: Sequence[Seen]) -> tuple[Table, np.ndarray]:
    """The score table of the pages' masks, as refine would write it, and each mask's true IoU."""
    settings = read(Params).refine
    models = {"model": Path(settings.model), "primaps.encoder": Path(settings.primaps.encoder)}
    method = open_method(settings.model_dump(), models, "cpu")
    refiners = {
        kind: Refiner(method, Clip(Path(settings.clip), texts(kind)), settings.threshold, settings.crf.model_dump(), 0)
        for kind in {s.kind for s in inputs}
    }
    rows, ious = [], []
    for s in tqdm(inputs, desc="refining", unit="page"):
        refined = refiners[s.kind]({0: Raw(s.image, s.attribution)})[0]
        if not refined.reason:
            rows.append(refined.scores)
            ious.append(iou(refined.mask, s.truth))
    columns = [column for column in COLUMNS if column in rows[0] and column != HASH]
    scores = {column: np.array([float(row[column]) for row in rows]) for column in columns}
    uids = [f"page-{k:06d}" for k in range(len(rows))]
    table = Table(uids, [""] * len(rows), scores, np.zeros(len(rows), np.uint64), np.zeros(len(rows), bool))
    return table, np.array(ious)


if __name__ == "__main__":
    main()
