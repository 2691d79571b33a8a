"""The experiments of `dvc exp run` as a table that fits a screen: what was changed, and what came of it.

`dvc exp show` has a column for every param and every dependency of every stage, and no setting that leaves any out.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from typing import Any

from stages.parts.errors import GraftError

WIDTH = 160
CHANGES = 70  # letters of the params that differ; more end in "…"
HEADER = ("experiment", "kept", "base", "novel", "Δ base", "Δ novel", "what differs")

Shown = list[dict[str, Any]]  # of `dvc exp show --json`: one entry per baseline, the workspace first


def experiments() -> str:
    """The table. GraftError when DVC cannot list any."""
    done = subprocess.run(["dvc", "exp", "show", "--json"], capture_output=True, text=True)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no word"])[-1]
        raise GraftError(f"`dvc exp show` failed ({last}); run it from the root of the repo")
    return table(json.loads(done.stdout))


def table(shown: Shown) -> str:
    """A line per experiment below the commit that it was run from, the best novel mean first; one without metrics (it
    failed, or is queued) last. Differences are to that commit."""
    lines: list[Sequence[str]] = []
    for baseline in shown:
        if baseline["rev"] == "workspace":
            continue
        parent = baseline.get("data") or {}
        before = measures(parent)
        lines.append((str(baseline.get("name") or baseline["rev"][:7]), *_numbers(before, {}), ""))
        rows = []
        for experiment in baseline.get("experiments") or []:
            last = experiment["revs"][0]
            data = last.get("data") or {}
            after = measures(data)
            name = f"  {experiment.get('name') or last['rev'][:7]}"
            differing = ", ".join(f"{key}={_value(value)}" for key, value in changed(parent, data).items())
            rows.append((after.get("novel", -1.0), (name, *_numbers(after, before), _cut(differing, CHANGES))))
        lines += [line for _, line in sorted(rows, key=lambda row: -row[0])]
    return _aligned([HEADER, *lines])


def measures(data: Mapping[str, Any]) -> dict[str, float]:
    """kept (over all classes), base and novel of grafted, as far as an entry has them."""
    metrics = {path: content.get("data") or {} for path, content in (data.get("metrics") or {}).items()}
    found = {}
    kept = [
        content["kept"] for path, content in metrics.items() if path.startswith("metrics/clean/") and "kept" in content
    ]
    if kept:
        found["kept"] = sum(kept)
    grafted = metrics.get("metrics/summary.json", {}).get("grafted", {})
    for name in ("base", "novel"):
        if grafted.get(f"{name}_mIoU") is not None:
            found[name] = grafted[f"{name}_mIoU"]
    return found


def changed(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """Dotted param -> its new value, of those that differ; None for one that is gone."""
    old, new = (flat(content.get("params", {}).get("params.yaml", {}).get("data") or {}) for content in (before, after))
    return {key: new.get(key) for key in sorted(old.keys() | new.keys()) if old.get(key) != new.get(key)}


def flat(params: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    """Dotted key -> value; a list is one value."""
    found: dict[str, Any] = {}
    for key, value in params.items():
        found |= flat(value, f"{above}{key}.") if isinstance(value, Mapping) else {f"{above}{key}": value}
    return found


def _numbers(after: Mapping[str, float], before: Mapping[str, float]) -> tuple[str, ...]:
    cells = [f"{after['kept']:.0f}" if "kept" in after else "-"]
    cells += [f"{after[name]:.1f}" if name in after else "-" for name in ("base", "novel")]
    for name in ("base", "novel"):
        known = name in after and name in before
        cells.append(f"{after[name] - before[name]:+.1f}" if known else "")
    return tuple(cells)


def _value(value: Any) -> str:
    return "null" if value is None else f"[{','.join(map(str, value))}]" if isinstance(value, list) else str(value)


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: length - 1]}…"


def _aligned(lines: Sequence[Sequence[str]]) -> str:
    widths = [max(len(line[k]) for line in lines) for k in range(len(HEADER))]
    rows = []
    for line in lines:
        numbers = (cell.rjust(width) for cell, width in zip(line[1:-1], widths[1:-1], strict=True))
        rows.append("  ".join([line[0].ljust(widths[0]), *numbers, line[-1]])[:WIDTH].rstrip())
    return "\n".join(rows)
