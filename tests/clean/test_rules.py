"""Each rule's direction, its threshold, and which failing rule gives the reason: a table by hand."""

from __future__ import annotations

import pytest

from stages.clean.rules import RULES, Verdict, count_alone, count_first, judge

THRESHOLDS = {
    "max_area": 0.40, "max_lower_half": 0.85, "min_smoothness": 1.0, "max_energy": 50.0, "min_area": 0.03,
    "min_predicted_iou": 0.70, "min_agreement": 0.5, "min_class_score": 0.5,
}  # fmt: skip
GOOD = {
    "area": 0.2, "lower_half": 0.5, "smoothness": 1.02, "energy": 12.0,
    "predicted_iou": 0.9, "agreement": 0.8, "class_score": 0.9,
}  # fmt: skip


def reason(**changed: float) -> str:
    return judge("x", "", GOOD | changed, THRESHOLDS).reason


@pytest.mark.parametrize(
    ("column", "kept", "rejected", "code"),
    [
        ("area", 0.40, 0.4001, "large"),
        ("lower_half", 0.85, 0.8501, "low"),
        ("smoothness", 1.0, 0.9999, "uneven"),
        ("energy", 50.0, 50.01, "ragged"),
        ("area", 0.03, 0.0299, "small"),
        ("predicted_iou", 0.70, 0.6999, "doubted"),
        ("agreement", 0.5, 0.4999, "strayed"),
        ("class_score", 0.5, 0.4999, "other_class"),
    ],
)
def test_each_rule_rejects_beyond_its_threshold_and_keeps_at_it(
    column: str, kept: float, rejected: float, code: str
) -> None:
    assert reason(**{column: kept}) == ""
    assert reason(**{column: rejected}) == code


def test_the_published_rules_come_first_and_in_the_published_order() -> None:
    assert [rule.param for rule in RULES[:4]] == [
        "max_area",
        "max_lower_half",
        "min_smoothness",
        "max_energy",
    ]
    bad = {"area": 0.5, "lower_half": 0.9, "smoothness": 0.5, "energy": 99.0, "predicted_iou": 0.1}
    assert [reason(**dict(list(bad.items())[i:])) for i in range(5)] == [
        "large",
        "low",
        "uneven",
        "ragged",
        "doubted",
    ]


def test_an_empty_mask_that_was_measured_fails_smoothness_as_published() -> None:
    assert reason(area=0.0, lower_half=0.0, smoothness=0.0, energy=0.0) == "uneven"


def test_a_sample_that_came_with_a_reason_keeps_it_and_counts_for_no_rule() -> None:
    verdict = judge("x", "empty_seed", {}, THRESHOLDS)
    assert verdict == Verdict("x", "empty_seed", ())


def test_first_counts_sum_to_the_rejected_and_alone_counts_overlap() -> None:
    verdicts = [
        judge("a", "", GOOD, THRESHOLDS),
        judge("b", "", GOOD | {"area": 0.5, "energy": 60.0}, THRESHOLDS),
        judge("c", "", GOOD | {"energy": 60.0, "class_score": 0.1}, THRESHOLDS),
        judge("d", "empty_seed", {}, THRESHOLDS),
        judge("e", "constant", {}, THRESHOLDS),
    ]
    first, alone = count_first(verdicts), count_alone(verdicts)
    assert {code: count for code, count in first.items() if count} == {
        "large": 1, "ragged": 1, "constant": 1, "empty_seed": 1,
    }  # fmt: skip
    assert list(first) == [*(rule.code for rule in RULES), "constant", "empty_seed"]
    assert {code: count for code, count in alone.items() if count} == {
        "large": 1,
        "ragged": 2,
        "other_class": 1,
    }
    assert list(alone) == [rule.code for rule in RULES]


def test_loosening_any_param_never_rejects_more() -> None:
    """Metamorphic: over a grid of samples, each looser threshold keeps a superset."""
    samples = [GOOD | {"area": a, "energy": e, "class_score": c} for a in (0.01, 0.1, 0.5) for e in (1, 70)
               for c in (0.2, 0.9)]  # fmt: skip
    kept = [judge("", "", sample, THRESHOLDS).reason == "" for sample in samples]
    for rule in RULES:
        looser = THRESHOLDS | {rule.param: 1e9 if rule.reject == "above" else 0.0}
        now = [judge("", "", sample, looser).reason == "" for sample in samples]
        assert all(after >= before for before, after in zip(kept, now, strict=True))


def test_every_rule_names_a_param_of_the_section_and_has_a_code_of_its_own() -> None:
    assert {rule.param for rule in RULES} == set(THRESHOLDS)
    assert len({rule.code for rule in RULES}) == len(RULES)
