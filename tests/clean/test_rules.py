"""Each rule's direction, its threshold, and which failing rule gives the reason: a table by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from stages.clean.kinds import Limit
from stages.clean.params import ORDER, ORDERS, Clean, Rules
from stages.clean.presets import PRESETS
from stages.clean.rules import RULES, Verdicts, active, judge
from stages.clean.table import HASH, Table
from stages.parts.errors import GraftError
from stages.parts.sections import read
from stages.preflight import Params

OWN = PRESETS["ucg"] | {"min_area": 0.03, "min_predicted_iou": 0.70, "min_agreement": 0.5, "min_class_score": 0.5}
GOOD = {
    "area": 0.2, "lower_half": 0.5, "smoothness": 1.02, "energy": 12.0, "turning": 0.3, "components": 1.0,
    "largest_share": 1.0, "border_top": 0.0, "border_bottom": 0.1, "border_left": 0.0, "border_right": 0.0,
    "predicted_iou": 0.9, "stability": 0.9, "agreement": 0.8, "map_agreement": 0.7, "class_score": 0.9,
    "class_margin": 0.8, "entropy": 0.2,
}  # fmt: skip
RELATIVE = {"area_tails": 0.1, "min_distance": 3, "keep_certain": 0.5, "max_count": 5}
COLUMNS = {column for rule in RULES for column in rule.columns} - {HASH}


def table(*samples: dict[str, float] | str, hashes: tuple[int | None, ...] = ()) -> Table:
    """One row per sample: what differs from GOOD, or the reason that it came with. A hash of None was not measured."""
    reasons = [sample if isinstance(sample, str) else "" for sample in samples]
    rows = [dict.fromkeys(GOOD, np.nan) if isinstance(s, str) else GOOD | s for s in samples]
    scores = {column: np.array([row[column] for row in rows]) for column in GOOD}
    given = hashes or tuple(range(len(samples)))
    bits, hashed = np.array([one or 0 for one in given], np.uint64), np.array([one is not None for one in given], bool)
    return Table([f"bus-{k:06d}" for k in range(len(samples))], reasons, scores, bits, hashed)


def judged(
    values: dict[str, float],
    *samples: dict[str, float] | str,
    hashes: tuple[int | None, ...] = (),
    order: str = "stability",
) -> list[str]:
    return judge(table(*samples, hashes=hashes), values, order).reasons


def reason(**changed: float) -> str:
    return judged(OWN, changed)[0]


LIMITS = [
    ("max_area", "area", 0.40, 0.4001, "large"),
    ("max_lower_half", "lower_half", 0.85, 0.8501, "low"),
    ("min_smoothness", "smoothness", 1.0, 0.9999, "uneven"),
    ("max_energy", "energy", 50.0, 50.01, "ragged"),
    ("min_area", "area", 0.03, 0.0299, "small"),
    ("max_turning", "turning", 0.9, 0.91, "jagged"),
    ("max_components", "components", 2, 3, "scattered"),
    ("min_largest_share", "largest_share", 0.9, 0.89, "split"),
    ("max_border", "border_left", 0.5, 0.51, "cut_off"),
    ("min_predicted_iou", "predicted_iou", 0.70, 0.6999, "doubted"),
    ("min_stability", "stability", 0.8, 0.79, "unstable"),
    ("min_agreement", "agreement", 0.5, 0.4999, "strayed"),
    ("min_map_agreement", "map_agreement", 0.5, 0.4999, "off_map"),
    ("min_class_score", "class_score", 0.5, 0.4999, "other_class"),
    ("min_class_margin", "class_margin", 0.0, -0.01, "rivalled"),
]


@pytest.mark.parametrize(("param", "column", "kept", "rejected", "code"), LIMITS)
def test_each_limit_rejects_beyond_its_threshold_and_keeps_at_it(
    param: str, column: str, kept: float, rejected: float, code: str
) -> None:
    assert judged({param: kept}, {column: kept}, {column: rejected}) == ["", code]


def test_every_limit_of_the_rules_is_in_the_table_above() -> None:
    assert {row[0] for row in LIMITS} == {rule.param for rule in RULES if isinstance(rule, Limit)}


@pytest.mark.parametrize("side", ["top", "bottom", "left", "right"])
def test_any_one_side_cuts_an_object_off(side: str) -> None:
    assert judged({"max_border": 0.5}, {f"border_{side}": 0.6}) == ["cut_off"]


def test_the_published_rules_come_first_and_in_the_published_order() -> None:
    assert [rule.param for rule in RULES[:4]] == ["max_area", "max_lower_half", "min_smoothness", "max_energy"]
    bad = {"area": 0.5, "lower_half": 0.9, "smoothness": 0.5, "energy": 99.0, "predicted_iou": 0.1}
    found = [reason(**dict(list(bad.items())[i:])) for i in range(5)]
    assert found == ["large", "low", "uneven", "ragged", "doubted"]


def test_preset_ucg_is_the_published_script() -> None:
    assert PRESETS["ucg"] == {"max_area": 0.40, "max_lower_half": 0.85, "min_smoothness": 1.0, "max_energy": 50.0}
    assert PRESETS["none"] == {}


def test_what_a_class_names_is_its_own_and_null_switches_the_rule_off_for_it_alone() -> None:
    section: dict[str, Any] = dict.fromkeys(Rules.model_fields) | PRESETS["ucg"]
    classes = {"bus": {"max_area": 0.3, "max_energy": None}, "train": {"min_area": 0.1}}
    clean = Clean.model_validate(section | {"order": ORDER, "classes": classes})
    assert clean.thresholds("truck") == PRESETS["ucg"]
    assert clean.thresholds("bus") == {"max_area": 0.3, "max_lower_half": 0.85, "min_smoothness": 1.0}
    assert clean.thresholds("train") == PRESETS["ucg"] | {"min_area": 0.1}


def test_a_rule_that_the_section_does_not_name_is_an_error_not_off() -> None:
    section: dict[str, Any] = {**dict.fromkeys(Rules.model_fields), "order": ORDER, "classes": {}}
    del section["max_turning"]
    with pytest.raises(ValidationError, match="key max_turning is missing"):
        Clean.model_validate(section)


def test_an_empty_mask_that_was_measured_fails_smoothness_as_published() -> None:
    assert judged(PRESETS["ucg"], {"area": 0.0, "lower_half": 0.0, "smoothness": 0.0, "energy": 0.0}) == ["uneven"]


def test_a_score_that_was_not_measured_is_not_judged() -> None:
    assert judged(OWN, {"predicted_iou": np.nan}, {"predicted_iou": np.nan, "area": 0.9}) == ["", "large"]


def test_a_sample_that_came_with_a_reason_keeps_it_unmeasured() -> None:
    verdicts = judge(table("empty_seed", {}), OWN)
    assert verdicts.reasons == ["empty_seed", ""]
    assert not any(rows[0] for rows in (*verdicts.first.values(), *verdicts.alone.values()))


def counted(verdicts: Verdicts) -> tuple[dict[str, int], dict[str, int]]:
    alone = {code: int(rows.sum()) for code, rows in verdicts.alone.items() if rows.any()}
    return {code: count for code, count in verdicts.rejected().items() if count}, alone


def test_first_counts_sum_to_the_rejected_and_alone_counts_overlap() -> None:
    samples: tuple[dict[str, float] | str, ...] = (
        {},
        {"area": 0.5, "energy": 60.0},
        {"energy": 60.0, "class_score": 0.1},
        "empty_seed",
        "constant",
    )
    verdicts = judge(table(*samples), OWN)
    first, alone = counted(verdicts)
    assert first == {"large": 1, "ragged": 1, "constant": 1, "empty_seed": 1}
    assert alone == {"large": 1, "ragged": 2, "other_class": 1}
    assert verdicts.kept + sum(first.values()) == len(samples)


def test_loosening_any_limit_never_rejects_more() -> None:
    """Metamorphic: over a grid of samples, each looser threshold keeps a superset."""
    samples = [
        {"area": a, "energy": e, "class_score": c} for a in (0.01, 0.1, 0.5) for e in (1, 70) for c in (0.2, 0.9)
    ]
    kept = [not found for found in judged(OWN, *samples)]
    for rule in RULES:
        if isinstance(rule, Limit) and rule.param in OWN:
            looser = OWN | {rule.param: 1e9 if rule.reject == "above" else 0.0}
            now = [not found for found in judged(looser, *samples)]
            assert all(after >= before for before, after in zip(kept, now, strict=True))


def test_every_rule_names_a_param_of_the_section_and_has_a_code_of_its_own() -> None:
    assert {rule.param for rule in RULES} == set(Rules.model_fields)
    assert len({rule.code for rule in RULES}) == len(RULES)
    assert set(GOOD) == COLUMNS
    assert all(set(preset) <= set(Rules.model_fields) for preset in PRESETS.values())
    assert read(Params, Path(__file__).parents[2] / "params.yaml").clean.order == ORDER
    assert not any("min_map_agreement" in preset for preset in PRESETS.values())


def test_tails_drop_the_same_share_of_both_ends() -> None:
    areas = [{"area": k / 100} for k in range(21)]
    found = judged({"area_tails": 0.1}, *areas)
    assert [k for k, code in enumerate(found) if code == "unusual"] == [0, 1, 19, 20]


def test_of_samples_that_look_alike_the_first_is_kept_even_when_another_lies_between() -> None:
    found = judged({"min_distance": 3}, {}, {}, {}, {}, hashes=(0b0, 0b11, 0b111, 0b11111))
    assert found == ["", "repeated", "", "repeated"]
    assert judged({"min_distance": 0}, {}, {}, hashes=(5, 5)) == ["", ""]


def test_what_another_rule_took_is_no_original() -> None:
    assert judged({"max_area": 0.4, "min_distance": 3}, {"area": 0.5}, {}, hashes=(1, 1)) == ["large", ""]


def test_samples_without_a_hash_repeat_nothing_and_are_repeated_by_nothing() -> None:
    assert judged({"min_distance": 3}, {}, {}, {}, {}, hashes=(None, None, 0, 1)) == ["", "", "", "repeated"]


@pytest.mark.parametrize("order", ORDERS)
def test_at_most_so_many_and_the_best_by_the_order_that_is_named(order: str) -> None:
    others = {score: 0.1 * k for k, score in enumerate(("stability", "predicted_iou", "class_score", "agreement"))}
    samples = [others | {order: score} for score in (0.7, 0.9, 0.8, 0.8)]
    assert judged({"max_count": 2}, *samples, order=order) == ["surplus", "", "", "surplus"]
    assert judged({"max_count": 1}, {order: np.nan}, {order: 0.1}, order=order) == ["surplus", ""]


def test_the_best_are_the_most_stable_if_nothing_else_is_said() -> None:
    found = judged({"max_count": 1}, {"stability": 0.8, "class_score": 0.9}, {"stability": 0.9, "class_score": 0.1})
    assert found == ["surplus", ""]


def test_what_has_no_entropy_is_neither_ranked_nor_rejected() -> None:
    entropies = (np.nan, 0.5, np.nan, 0.1, 0.3, 0.2)
    found = judged({"keep_certain": 0.5}, *({"entropy": e} for e in entropies))
    assert found == ["", "uncertain", "", "", "uncertain", ""]


def test_ranking_by_a_score_that_no_sample_has_is_a_sentence() -> None:
    with pytest.raises(GraftError) as caught:
        judged({"keep_certain": 0.67}, *[{"entropy": np.nan}] * 3, "empty_seed")
    assert str(caught.value) == (
        "clean.keep_certain needs the score entropy, which data/refined lacks; set refine.segmenter and run refine"
    )
    with pytest.raises(GraftError, match=r"clean\.max_count needs the score stability.*set clean\.order to another"):
        judged({"max_count": 1}, {"stability": np.nan}, {"stability": np.nan})


def test_the_cuts_are_where_the_rule_parts_kept_from_rejected() -> None:
    """For a rule that compares samples the cut is a score of this table, not the param."""
    samples = table(*({"area": k / 100, "entropy": k / 100, "stability": k / 100} for k in range(21)))
    everything = samples.measured
    cuts = {r.code: r.cuts(samples, t, everything) for r, t in zip(active(RELATIVE), RELATIVE.values(), strict=True)}
    assert cuts["unusual"] == [(pytest.approx(0.02), "below"), (pytest.approx(0.18), "above")]
    assert cuts["uncertain"] == [(0.09, "above")]  # int(0.5 · 21) = 10 are kept: 0.00 to 0.09
    assert cuts["surplus"] == [(0.16, "below")]
    assert cuts["repeated"] == [(3, "below")]
    assert active({"max_count": 99})[0].cuts(samples, 99, everything) == []


def test_the_surer_share_by_entropy_is_kept_rounded_down() -> None:
    """NCDSS keeps the first int(λ N) in ascending order of entropy."""
    found = judged({"keep_certain": 0.67}, *({"entropy": e} for e in (0.5, 0.1, 0.3, 0.2)))
    assert found == ["uncertain", "", "uncertain", ""]


def test_rules_that_compare_samples_do_so_among_those_still_in() -> None:
    found = judged({"max_energy": 50, "max_count": 1}, {"energy": 60.0, "stability": 1.0}, {"stability": 0.6}, {})
    assert found == ["ragged", "surplus", ""]


def test_no_sample_is_no_error() -> None:
    everything = {rule.param: 0.1 for rule in RULES}
    assert judge(table(), everything).reasons == []
    assert judge(table("constant"), everything).reasons == ["constant"]
