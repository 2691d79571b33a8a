"""Time several ways of doing one thing side by side: in turns, in one process, by process time and by wall time."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

import numpy as np
from tqdm import tqdm


def interleaved(ways: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, dict[str, list[float]]]:
    """{way: {"cpu": seconds of each round, "wall": ...}}; each way runs once before the clock does."""
    for way in ways.values():
        way()
    times: dict[str, dict[str, list[float]]] = {name: {"cpu": [], "wall": []} for name in ways}
    for _ in tqdm(range(rounds), desc="rounds", leave=False):
        for name, way in ways.items():
            cpu, wall = time.process_time(), time.perf_counter()
            way()
            times[name]["cpu"].append(time.process_time() - cpu)
            times[name]["wall"].append(time.perf_counter() - wall)
    return times


def show(times: Mapping[str, Mapping[str, list[float]]], against: str) -> None:
    """A line per way: least and median milliseconds, and the ratio of medians to the way `against`."""
    print(f"{'':32}{'cpu min':>9}{'median':>9}{'wall min':>9}{'median':>9}   ms; times that of {against!r}: cpu, wall")
    for name, clocks in times.items():
        numbers = [1000 * pick(clocks[clock]) for clock in ("cpu", "wall") for pick in (min, np.median)]
        ratios = [np.median(clocks[clock]) / np.median(times[against][clock]) for clock in ("cpu", "wall")]
        print(f"{name:32}" + "".join(f"{n:9.2f}" for n in numbers) + "   " + "  ".join(f"{r:.2f}" for r in ratios))
