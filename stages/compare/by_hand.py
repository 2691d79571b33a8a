"""Results that no `dvc repro` makes again: what command made each, at what commit, and what is other today.

A result made by hand goes stale in silence. The commit holds the fingerprints of the code and the params that it was
made with (metrics/code, params.yaml), so both can be compared with today's; and where the line's own summary has the
same cell, so can its figures.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from stages.compare.experiments import flat
from stages.parts.errors import GraftError
from stages.parts.sections import FILE, content, parsed
from stages.parts.store.documents import read_json
from stages.parts.store.fingerprint import fingerprint

TABLE, SUMMARY = Path("metrics/by_hand.json"), Path("metrics/summary.json")
MEANS = ("novel_mIoU", "base_mIoU")
ROUNDING = 0.01  # of a figure in metrics, in percent


def by_hand() -> str:
    """A paragraph for each result. GraftError when git does not have its commit."""
    table = read_json(TABLE, "see it in git")
    return "\n\n".join(
        "\n".join([f"{path} ({made['commit']})", f"  {made['command']}", *(f"  {line}" for line in told(path, made))])
        for path, made in table.items()
    )


def told(path: str, made: Mapping[str, Any]) -> list[str]:
    """What is other today than when the result was made: code by stages, params by keys, and the figures."""
    commit, stages = made["commit"], made["stages"]
    before = {stage: at(commit, f"metrics/code/{stage}") for stage in stages}
    changed = [stage for stage in stages if before[stage] not in (None, fingerprint(module_of(stage)))]
    if not any(before.values()):
        code = "code: older than its fingerprints, so it cannot be compared"
    else:
        code = f"code: other now in {', '.join(changed)}" if changed else "code: the same"
    old, new = params_of(parsed(at(commit, FILE) or "", FILE), stages), params_of(content(), stages)
    keys = sorted(key for key in old.keys() | new.keys() if old.get(key) != new.get(key))
    params = f"params: other now: {', '.join(keys)}" if keys else "params: the same"
    return [code, params, *figures(Path(path))]


def module_of(stage: str) -> str:
    """A stage of the root line is a room's main, one of a further line (ncdss.base) a module of its room."""
    return f"stages.{stage}" if "." in stage else f"stages.{stage}.__main__"


def at(commit: str, path: str) -> str | None:
    """A file at a commit, stripped; None where the commit has none. GraftError for a commit that git does not have."""
    if subprocess.run(["git", "cat-file", "-e", f"{commit}^{{commit}}"], capture_output=True).returncode:
        raise GraftError(f"git has no commit {commit}, which {TABLE} names; in a shallow clone `git fetch --unshallow`")
    shown = subprocess.run(["git", "show", f"{commit}:{path}"], capture_output=True, text=True)
    return None if shown.returncode else shown.stdout.strip()


def params_of(params: Mapping[str, Any], stages: Sequence[str]) -> dict[str, Any]:
    """Dotted key -> value of the sections that the stages read, and the classes."""
    sections = {stage.partition(".")[0] for stage in stages} | {"classes"}
    return flat({name: value for name, value in params.items() if name in sections})


def figures(path: Path) -> list[str]:
    """Whether the recipes that the line has too give here, with its seed, what it has found; nothing to say of a
    result that is not laid out as the line's."""
    result = json.loads(path.read_text()).get("test") if path.is_file() and SUMMARY.is_file() else None
    if not result:
        return []
    line = json.loads(SUMMARY.read_text())
    away = [
        abs(first(result[recipe], mean) - line[recipe][mean])
        for recipe in line.keys() & result.keys()
        for mean in MEANS
    ]
    return [f"figures: {'those of the line today' if max(away) < ROUNDING else f'up to {max(away):.2f} from the line'}"]


def first(measures: Mapping[str, Any], mean: str) -> float:
    """The figure of the first seed."""
    several = measures.get(mean.replace("mIoU", "of_each"))
    return float(several[0] if several else measures[mean])
