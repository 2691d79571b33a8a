"""clean: which refined samples of one class are kept, and why each of the others is not.

in       data/refined/CLASS/scores.csv, params `clean`
out      data/cleaned/CLASS.csv: uid, kept (0 or 1), reason
         data/cleaned/CLASS.json: samples, kept, and per rule how many it rejects first and alone
         metrics/clean/CLASS.json: kept
command  python -m stages.clean CLASS [CLASS ...]
         python -m stages.clean explain [CLASS ...]   what each rule did, with its scores and samples drawn
cost     about a second for 12 000 samples: a filter over a table
expect   miniature: 181 of 192 samples kept by `strict`, 160 by `ucg`
source   Montalvo et al., "Unsupervised Class Generation to Expand Semantic Segmentation Datasets",
         J. Imaging 2025: `python -m stages.clean.preset ucg` writes its code's thresholds; others are ours
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stages.clean.params import Params
from stages.clean.rules import RULES, Verdicts, active, judge
from stages.clean.table import read as read_table
from stages.parts.command import command
from stages.parts.errors import GraftError
from stages.parts.sections import read
from stages.parts.store.atomic import write_changed, write_csv, write_whole
from stages.parts.store.pictures import check_size
from stages.parts.store.places import check_place
from stages.parts.store.samples import Shards, png_array, png_bytes

EXPLAIN, OUT = "explain", "data/explained"
# What refine gives as a reason, and what to do about it.
MASKLESS = {"empty_seed": "loosen refine.threshold", "empty_mask": "set another refine.prompt or refine.method"}


@command
def main(argv: Sequence[str] | None = None) -> None:
    arguments = parser().parse_args(argv)
    params = read(Params)
    first, *others = arguments.classes
    if first != EXPLAIN and arguments.out is not None:
        raise GraftError("--out says where explain draws; put explain before the classes, or leave --out away")
    names = (others or params.classes) if first == EXPLAIN else arguments.classes
    values = {name: limits(params, name) for name in names}
    for name in values:
        if first == EXPLAIN:
            check_place(Path(arguments.out or OUT) / name)
            explained(name, values[name], params.clean.order, Path(arguments.out or OUT) / name)
        else:
            clean(name, values[name], params)


def limits(params: Params, name: str) -> dict[str, float]:
    """param -> threshold of the rules that are on for a class. GraftError for a class that is not the user's."""
    for known in (name, *params.clean.classes):
        if known not in params.classes:
            where = "params.yaml classes" if known == name else "params.yaml clean.classes"
            raise GraftError(
                f"{where}: {known!r} is not among {', '.join(params.classes)}; correct it or add it to classes"
            )
    return params.clean.thresholds(name)


def clean(name: str, values: dict[str, float], params: Params) -> None:
    order = params.clean.order
    columns = [column for rule in active(values, order) for column in rule.columns]
    verdicts = judge(read_table(table_of(name), list(dict.fromkeys(columns))), values, order)
    check_any_kept(verdicts, name, params)
    write_csv(Path("data/cleaned") / f"{name}.csv", ("uid", "kept", "reason"), keep_list(verdicts))
    write_changed(Path("data/cleaned") / f"{name}.json", counts_of(verdicts))
    write_changed(Path("metrics/clean") / f"{name}.json", json.dumps({"kept": verdicts.kept}) + "\n")
    print(f"clean {name}: kept {verdicts.kept} of {len(verdicts.uids)}")


def table_of(name: str) -> Path:
    return Path("data/refined") / name / "scores.csv"


def explained(name: str, values: dict[str, float], order: str, out: Path) -> None:
    """Print what each rule did to a class, and draw it: scores.png and nearest.png."""
    from stages.clean.contact import sheet  # here, for a plain run does not draw
    from stages.clean.explain import counts, histograms

    needed = [column for rule in active(values, order) for column in rule.columns]
    table = read_table(table_of(name), list(dict.fromkeys(needed)), rest=True)
    verdicts, samples = judge(table, values, order), Shards(Path("data/refined") / name)

    def see(uid: str) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        files = samples.read(uid)
        image, mask = png_array(files["image.png"]), png_array(files["mask.png"])
        check_size(samples.folder, uid, image, mask)
        return image, mask

    write_whole(out / "scores.png", histograms(table, verdicts, values, order))
    write_whole(out / "nearest.png", png_bytes(sheet(table, verdicts, values, see, order)))
    print(f"clean {name}\n{counts(verdicts, values)}\ndrawn: {out}/scores.png, {out}/nearest.png\n")


def check_any_kept(verdicts: Verdicts, name: str, params: Params) -> None:
    """Nothing kept would train a baseline under another name: say what took the most, and its param."""
    if verdicts.kept:
        return
    rejected = {code: count for code, count in verdicts.rejected().items() if count}
    if not rejected:
        raise GraftError(f"clean {name}: the table has no sample; run `python -m stages.generate {name}`")
    own = params.clean.classes.get(name)
    fixes = dict(MASKLESS)
    for rule in RULES:
        overridden = own is not None and rule.param in own.model_fields_set
        fixes[rule.code] = f"loosen clean.{f'classes.{name}.' if overridden else ''}{rule.param}"
    worst = max(rejected.keys() & fixes.keys(), key=lambda code: (rejected[code], code), default=None)
    fix = fixes[worst] if worst else "generate other images (section generate)"
    counts = ", ".join(f"{code} {count}" for code, count in rejected.items())
    raise GraftError(
        f"clean {name}: none of {len(verdicts.uids)} samples is kept ({counts}); in params.yaml {fix} first"
    )


def keep_list(verdicts: Verdicts) -> list[tuple[str, int, str]]:
    """uid, kept and reason of every sample, sorted by uid."""
    return [(uid, int(not reason), reason) for uid, reason in zip(verdicts.uids, verdicts.reasons, strict=True)]


def counts_of(verdicts: Verdicts) -> str:
    """How many samples there were, how many are kept, and how many each rule rejects first and alone."""
    alone = {code: int(rows.sum()) for code, rows in verdicts.alone.items()}
    counts = {"rejected": verdicts.rejected(), "alone": alone}
    return json.dumps({"samples": len(verdicts.uids), "kept": verdicts.kept, **counts}, indent=1) + "\n"


def parser() -> argparse.ArgumentParser:
    table = "\n".join(f"  {rule.code:12} clean.{rule.param:20} {', '.join(rule.columns)}" for rule in RULES)
    result = argparse.ArgumentParser(
        prog="python -m stages.clean",
        usage="%(prog)s [-h] CLASS [CLASS ...]\n       %(prog)s [-h] explain [CLASS ...] [--out FOLDER]",
        description="Decide which refined samples of each class named are kept. No pixel is read or moved. "
        "`explain` before them tells and draws what each rule did; without a class, for all.",
        epilog="rules, in this order, each with its param and its scores; the first that fails is the reason:\n"
        f"{table}\n`python -m stages.clean.preset` writes limits into params.yaml.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    result.add_argument("classes", metavar="CLASS", nargs="+", help="a class of params.yaml `classes`, such as bus")
    result.add_argument("--out", metavar="FOLDER", help=f"explain: where its pictures go (default: {OUT})")
    return result


if __name__ == "__main__":
    main()
