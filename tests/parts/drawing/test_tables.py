"""The numbers of the report, against arithmetic done by hand."""

from __future__ import annotations

import numpy as np
import pytest

from stages.parts.drawing import charts, tables
from stages.parts.measure.confusion import scores

NAMES = ["road", "wall", "bus"]  # wall does not occur in the truth


def run(matrix: list[list[int]], novel: str = "bus") -> dict:
    return {"classes": NAMES, "confusion": matrix} | scores(np.array(matrix), NAMES, [novel])


# IoU: road 60/100, bus 0/40 | road 80/100, bus 0/20
BASELINE = [run([[60, 0, 0], [0, 0, 0], [40, 0, 0]]), run([[80, 0, 0], [0, 0, 0], [20, 0, 0]])]
# 10 pixels of road are taken for wall. road 80/100, bus 10/20 | road 90/100, bus 0/10
GRAFTED = [run([[80, 10, 0], [0, 0, 0], [10, 0, 10]]), run([[90, 0, 0], [0, 0, 0], [10, 0, 0]])]
RUNS = {"baseline": BASELINE, "grafted": GRAFTED}


def test_mean_and_sample_std_over_seeds_by_hand() -> None:
    result = tables.summary(RUNS)
    assert result["baseline"]["IoU"]["road"] == {"mean": 70.0, "std": 14.14}
    assert result["baseline"]["novel_mIoU"] == {"mean": 0.0, "std": 0.0}
    assert result["baseline"]["mIoU"] == {"mean": 35.0, "std": 7.07}  # (30 + 40) / 2
    assert result["grafted"]["IoU"]["bus"] == {"mean": 25.0, "std": 35.36}  # 50 and 0
    assert result["grafted"]["base_mIoU"] == {"mean": 85.0, "std": 7.07}
    assert result["grafted"]["mIoU"] == {"mean": 55.0, "std": 14.14}  # 65 and 45


def test_an_absent_class_is_none_and_adds_no_zero_to_a_mean() -> None:
    result = tables.summary({"grafted": GRAFTED[:1]})["grafted"]
    assert result["IoU"]["wall"] is None
    assert result["IoU"]["road"]["mean"] == 80.0  # 80 / 100: the pixels lost to wall count against road
    assert result["mIoU"]["mean"] == 65.0  # over road and bus, though wall was predicted
    assert tables.present({"grafted": result}, ["bus"]) == ["road", "bus"]


def test_one_seed_has_no_spread_and_a_group_without_classes_no_mean() -> None:
    assert tables.spread([12.3456]) == {"mean": 12.35, "std": 0.0}
    assert tables.spread([None, None]) is None
    assert tables.spread([]) is None


def test_one_seed_shows_no_spread() -> None:
    lines = tables.comparison(tables.summary({"baseline": BASELINE[:1], "grafted": GRAFTED[:1]}), ["bus"])
    assert lines[1:3] == [["road", "60.00", "80.00", "+20.00"], ["bus (novel)", "0.00", "50.00", "+50.00"]]


def test_the_summary_does_not_depend_on_the_order_of_seeds() -> None:
    assert tables.summary({"grafted": GRAFTED}) == tables.summary({"grafted": GRAFTED[::-1]})


def test_the_comparison_gives_gains_over_the_baseline() -> None:
    lines = tables.comparison(tables.summary({"grafted": GRAFTED, "baseline": BASELINE}), ["bus"])
    assert lines == [
        ["IoU in %", "grafted", "gain", "baseline"],
        ["road", "85.00 ± 7.07", "+15.00", "70.00 ± 14.14"],
        ["bus (novel)", "25.00 ± 35.36", "+25.00", "0.00 ± 0.00"],
        ["base mean", "85.00 ± 7.07", "+15.00", "70.00 ± 14.14"],
        ["novel mean", "25.00 ± 35.36", "+25.00", "0.00 ± 0.00"],
        ["mean of all", "55.00 ± 14.14", "+20.00", "35.00 ± 7.07"],
    ]
    text = tables.aligned(lines).splitlines()
    assert len({len(line) for line in text}) == 1
    assert set(text[1]) == set(text[-4]) == {"-"}


def test_without_a_novel_class_in_the_truth_its_mean_is_a_dash() -> None:
    stray = run([[60, 5, 0], [0, 0, 0], [35, 0, 0]], novel="wall")
    lines = tables.comparison(tables.summary({"baseline": [stray], "grafted": [stray]}), ["wall"])
    assert lines[-2] == ["novel mean", "-", "-", "-"]


def test_confusion_rows_are_percents_of_the_true_class_over_all_seeds() -> None:
    rows = {(row["recipe"], row["actual"], row["predicted"]): row["percent"] for row in tables.confusion_rows(RUNS)}
    assert rows["grafted", "road", "wall"] == 5.56  # 10 of 180
    assert rows["grafted", "bus", "bus"] == 33.33  # 10 of 30
    assert rows["baseline", "bus", "road"] == 100.0
    assert not [key for key in rows if key[1] == "wall"]
    assert ("baseline", "road", "wall") not in rows


def test_iou_rows_hold_present_classes_only() -> None:
    rows = tables.iou_rows({"test": tables.summary(RUNS)}, ["bus"])
    assert [(row["class"], row["recipe"]) for row in rows] == [
        ("road", "baseline"), ("road", "grafted"), ("bus", "baseline"), ("bus", "grafted"),
    ]  # fmt: skip
    assert rows[3] == {"split": "test", "class": "bus", "recipe": "grafted", "IoU": 25.0, "std": 35.36}


@pytest.mark.parametrize(("length", "points"), [(0, 0), (1, 1), (200, 200), (201, 101), (1000, 200)])
def test_a_long_curve_is_thinned_to_means(length: int, points: int) -> None:
    curve = [{"iter": float(k), "loss": 2.0 * k} for k in range(length)]
    thin = tables.thinned(curve)
    assert len(thin) == points
    assert all(row["loss"] == 2 * row["iter"] for row in thin)
    if length == 1000:
        assert thin[0] == {"iter": 2.0, "loss": 4.0}


@pytest.mark.parametrize("order", [("baseline", "grafted"), ("grafted", "baseline")])
def test_a_class_that_one_recipe_alone_predicts_has_its_zero_and_the_other_a_dash(order: tuple[str, str]) -> None:
    """evaluate.absent mmseg: the truth lacks wall, grafted predicts a pixel of it."""
    clean, stray = [[60, 0, 0], [0, 0, 0], [30, 0, 10]], [[60, 1, 0], [0, 0, 0], [30, 0, 10]]
    runs = {
        name: [{"classes": NAMES} | scores(np.array(matrix), NAMES, ["bus"], absent="mmseg")]
        for name, matrix in (("baseline", clean), ("grafted", stray))
    }
    result = tables.summary({name: runs[name] for name in order})
    assert tables.present(result, ["bus"]) == ["road", "wall", "bus"]
    rows = {(row["class"], row["recipe"]): row["IoU"] for row in tables.iou_rows({"test": result}, ["bus"])}
    assert rows["wall", "grafted"] == 0.0 and ("wall", "baseline") not in rows and len(rows) == 5
    assert tables.comparison(result, ["bus"])[2][0] == "wall" and "-" in tables.comparison(result, ["bus"])[2]
    assert charts.iou_chart(result, ["bus"]).startswith(b"\x89PNG")
