"""The labelled set that a method trains on; of `supervised`, whether it is still the target of today.

DVC does not know data/scenes/oracle, which no other method reads: a changed target leaves it as it was.
"""

from __future__ import annotations

from pathlib import Path

from tqdm import tqdm

from stages.parts.errors import GraftError
from stages.parts.store.samples import Shards
from stages.train.methods import Name

ORACLE, TARGET = Path("data/scenes/oracle"), Path("data/scenes/target")
FIX = "run `python -m stages.scenes oracle`"


def labelled(method: Name) -> Shards:
    """The source, or the oracle. GraftError when that is not there, or has not the target's images."""
    if method != "supervised":
        return Shards("data/scenes/source")
    check_oracle(method)
    oracle, target = Shards(ORACLE), Shards(TARGET)
    if _numbers(oracle) != _numbers(target) or not all(
        oracle.read(mine["uid"])["image.png"] == target.read(its["uid"])["image.png"]
        for mine, its in tqdm(
            zip(oracle.rows, target.rows, strict=True), "comparing", len(target), unit="image", delay=2, leave=False
        )
    ):
        raise GraftError(f"{ORACLE} has other images than {TARGET}, which was made anew; {FIX}")
    return oracle


def check_oracle(method: Name) -> None:
    """GraftError when the method needs the oracle and nobody has written it."""
    if method == "supervised" and not (ORACLE / "index.jsonl").is_file():
        raise GraftError(f"there is no {ORACLE}, the labelled target of train.method supervised; {FIX}")


def _numbers(shards: Shards) -> list[str]:
    """The uids without their split."""
    return [row["uid"].partition("-")[2] for row in shards.rows]
