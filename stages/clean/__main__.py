"""clean: which refined samples of one class are kept, and why each of the others is not.

in       data/refined/CLASS/scores.csv, params `clean`
out      data/cleaned/CLASS.csv: uid, kept (0 or 1), reason
         metrics/clean/CLASS.json: samples, kept, and per rule how many it rejects first and alone
command  python -m stages.clean CLASS
cost     about a second for 12 000 samples: a filter over a table
expect   miniature: between a third and nine tenths of the samples kept
source   Montalvo et al., "Unsupervised Class Generation to Expand Semantic Segmentation Datasets",
         J. Imaging 2025: the first four rules and their thresholds are its code's; the others are ours
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import math
import os
from collections.abc import Sequence
from pathlib import Path

from stages.clean.rules import RULES, Verdict, count_alone, count_first, judge
from stages.params import GraftError, command, read


@command
def main(argv: Sequence[str] | None = None) -> None:
    name = parser().parse_args(argv).name
    params = read()
    if name not in params.classes:
        raise GraftError(f"params.yaml classes: {name!r} is not among {', '.join(params.classes)}; add it there")
    thresholds = params.clean.model_dump()
    table = Path("data/refined") / name / "scores.csv"
    verdicts = [judge(uid, reason, scores, thresholds) for uid, reason, scores in read_scores(table)]
    check_any_kept(verdicts, name)
    write(Path("data/cleaned") / f"{name}.csv", keep_list(verdicts))
    write(Path("metrics/clean") / f"{name}.json", metrics(verdicts))
    print(f"clean {name}: kept {sum(not verdict.reason for verdict in verdicts)} of {len(verdicts)}")


def read_scores(path: Path) -> list[tuple[str, str, dict[str, float]]]:
    """(uid, reason, scores) of every row; no scores where there is a reason. GraftError if malformed."""
    again = f"run `python -m stages.refine {path.parent.name}` or `dvc repro`"
    if not path.is_file():
        raise GraftError(f"{path} is missing; {again}")
    with open(path, newline="") as file:
        reader = csv.DictReader(file)
        columns = {"uid": "", "reason": ""} | {rule.column: "" for rule in RULES}
        if missing := [column for column in columns if column not in (reader.fieldnames or ())]:
            raise GraftError(f"{path} has no column {', '.join(missing)}; {again}")
        try:
            return [(row["uid"], row["reason"], _numbers(row)) for row in reader]
        except (TypeError, ValueError):
            raise GraftError(
                f"{path}:{reader.line_num} has a score that is no number; delete the file and {again}"
            ) from None


def _numbers(row: dict[str, str]) -> dict[str, float]:
    """The scores of a measured sample. ValueError for NaN too: it would pass every threshold."""
    scores = {rule.column: float(row[rule.column]) for rule in RULES} if not row["reason"] else {}
    if not all(map(math.isfinite, scores.values())):
        raise ValueError(row["uid"])
    return scores


def check_any_kept(verdicts: Sequence[Verdict], name: str) -> None:
    """Nothing kept would train a baseline under another name: say what took the most, and its param."""
    if any(not verdict.reason for verdict in verdicts):
        return
    rejected = {code: count for code, count in count_first(verdicts).items() if count}
    if not rejected:
        raise GraftError(f"clean {name}: the table has no sample; run `python -m stages.generate {name}`")
    loosens = {rule.code: f"clean.{rule.param}" for rule in RULES} | {"empty_seed": "refine.threshold"}
    worst = max(rejected.keys() & loosens.keys(), key=lambda code: (rejected[code], code), default=None)
    fix = f"loosen {loosens[worst]}" if worst else "generate other images (section generate)"
    counts = ", ".join(f"{code} {count}" for code, count in rejected.items())
    raise GraftError(f"clean {name}: none of {len(verdicts)} samples is kept ({counts}); in params.yaml {fix} first")


def keep_list(verdicts: Sequence[Verdict]) -> str:
    """The CSV, sorted by uid."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("uid", "kept", "reason"))
    writer.writerows((v.uid, int(not v.reason), v.reason) for v in sorted(verdicts, key=lambda v: v.uid))
    return text.getvalue()


def metrics(verdicts: Sequence[Verdict]) -> str:
    kept = sum(not verdict.reason for verdict in verdicts)
    counts = {"rejected": count_first(verdicts), "alone": count_alone(verdicts)}
    return json.dumps({"samples": len(verdicts), "kept": kept, **counts}, indent=1) + "\n"


def write(path: Path, text: str) -> None:
    """Whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(path.suffix + ".tmp")
    unfinished.write_text(text)
    os.replace(unfinished, path)


def parser() -> argparse.ArgumentParser:
    rules = "\n".join(f"  {rule.code:12} {rule.column} {rule.reject} clean.{rule.param}" for rule in RULES)
    result = argparse.ArgumentParser(
        prog="python -m stages.clean",
        description="Decide which refined samples of one class are kept. No pixel is read or moved.",
        epilog=f"rules, in this order; the first that fails is the reason:\n{rules}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    result.add_argument("name", metavar="CLASS", help="a class of params.yaml `classes`, such as bus")
    return result


if __name__ == "__main__":
    main()
