"""Charts as PNG bytes. Equal numbers give equal bytes: no date, no software version, no style of the user's."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence

import matplotlib.style
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from stages.parts.drawing.tables import Row, Summary, present

NOTHING = {"mean": np.nan, "std": np.nan}  # no bar
COLOURS = ("#9aa0a6", "#188038", "#1a73e8", "#e8710a", "#a142f4", "#d93025")


def iou_chart(result: Summary, novel: Sequence[str]) -> bytes:
    """IoU of every class, one bar per recipe, with the standard deviation over seeds, if several, as its error bar."""
    names = present(result, novel)
    several = any(measures["seeds"] > 1 for measures in result.values())

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        width = 0.8 / len(result)
        for k, (recipe, measures) in enumerate(result.items()):
            values = [measures["IoU"][name] or NOTHING for name in names]
            places = np.arange(len(names)) + (k - (len(result) - 1) / 2) * width
            heights, errors = [value["mean"] for value in values], [value["std"] for value in values]
            colour = COLOURS[k % len(COLOURS)]
            axes.bar(places, heights, width, yerr=errors if several else None, capsize=2, label=recipe, color=colour)
        axes.set(ylabel="IoU in %", ylim=(0, 100))
        labels = [f"{name}\n(novel)" if name in novel else name for name in names]
        axes.set_xticks(range(len(names)), labels, rotation=40, ha="right", rotation_mode="anchor")
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False, ncols=len(result), loc="lower center", bbox_to_anchor=(0.5, 1.0))

    return _png(draw, (max(6.0, 0.75 * len(names)), 3.8))


def confusion_chart(matrices: Mapping[str, tuple[Sequence[str], np.ndarray]]) -> bytes:
    """Where the pixels of each class go, in percent of the class: one square per recipe, rows are the truth."""
    size = max(len(names) for names, _ in matrices.values())

    def draw(figure: Figure) -> None:
        squares: list[Axes] = list(figure.subplots(1, len(matrices), squeeze=False)[0])
        for axes, (recipe, (names, matrix)) in zip(squares, matrices.items(), strict=True):
            axes.imshow(matrix, cmap="Greens", vmin=0, vmax=100)
            axes.set(title=recipe, xlabel="predicted", ylabel="truth")
            axes.set_xticks(range(len(names)), names, rotation=60, ha="right", rotation_mode="anchor")
            axes.set_yticks(range(len(names)), names)
            for row, column in np.argwhere(matrix >= 0.5):
                colour = "white" if matrix[row, column] > 60 else "black"
                axes.text(column, row, f"{matrix[row, column]:.0f}", ha="center", va="center", color=colour, size=7)

    return _png(draw, (len(matrices) * (0.36 * size + 1.6), 0.36 * size + 1.6))


def curves_chart(rows: Sequence[Row]) -> bytes:
    """The loss over the iterations, one line per training, one colour per recipe. No row: empty axes."""
    recipes = list(dict.fromkeys(row["recipe"] for row in rows))
    trainings = list(dict.fromkeys((row["recipe"], row["seed"]) for row in rows))

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        for recipe, seed in trainings:
            curve = [(row["iter"], row["loss"]) for row in rows if (row["recipe"], row["seed"]) == (recipe, seed)]
            label = recipe if seed == next(other for name, other in trainings if name == recipe) else None
            colour = COLOURS[recipes.index(recipe) % len(COLOURS)]
            axes.plot(*zip(*curve, strict=True), label=label, color=colour, linewidth=1)
        axes.set(xlabel="iteration", ylabel="loss", ylim=(0, None))
        axes.spines[["top", "right"]].set_visible(False)
        if trainings:
            axes.legend(frameon=False, ncols=len(recipes), loc="lower center", bbox_to_anchor=(0.5, 1.0))

    return _png(draw, (7.5, 3.0))


def _png(draw: Callable[[Figure], None], size: tuple[float, float]) -> bytes:
    """The drawn figure, `size` in inches at 110 dots per inch."""
    buffer = io.BytesIO()
    with matplotlib.style.context("default", after_reset=True):
        figure = Figure(figsize=size, dpi=110, layout="constrained")
        draw(figure)
        figure.savefig(buffer, format="png", bbox_inches="tight", metadata={"Software": None})
    return buffer.getvalue()
