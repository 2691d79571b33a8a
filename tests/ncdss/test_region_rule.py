"""Where a picture shows something that is salient and no base class [2.3.1 to 2.3.3, 2.3.7]."""

from __future__ import annotations

import numpy as np

from stages.parts.discovery.regions import Found, Rule, base_prediction, find_regions, grown, novel_mask, pseudo_label


def probabilities(*maps: list[list[float]]) -> np.ndarray:
    return np.array(maps, dtype=np.float64)


# background, base 1, base 2 of four pixels: confident base, doubtful base, confident background, exactly tau
FOUR = probabilities([[0.02, 0.3, 0.95, 0.05]], [[0.95, 0.6, 0.03, 0.9]], [[0.03, 0.1, 0.02, 0.05]])


def test_a_base_class_counts_above_tau_and_not_at_it() -> None:
    assert base_prediction(FOUR, 0.9).tolist() == [[1, 0, 0, 0]]
    assert base_prediction(FOUR, 0.5).tolist() == [[1, 1, 0, 1]]


def test_doubtful_base_pixels_stay_and_background_takes_nothing_away() -> None:
    salient = np.array([[True, True, True, False]])
    assert novel_mask(salient, base_prediction(FOUR, 0.9)).tolist() == [[False, True, True, False]]


def test_the_published_rule_keeps_more_than_its_pixels_strictly() -> None:
    p = np.zeros((2, 4, 4))
    p[0] = 1
    salient = np.zeros((4, 4), bool)
    salient[0, :3] = True
    assert find_regions(p, salient, Rule(min_pixels=3)).regions.max() == 0
    assert (find_regions(p, salient, Rule(min_pixels=2)).regions == salient).all()


def test_as_published_one_picture_has_one_region_and_with_parts_several() -> None:
    p = np.zeros((2, 5, 9))
    p[0] = 1
    salient = np.zeros((5, 9), bool)
    salient[1:4, 1:4] = salient[1:4, 5:8] = True
    assert set(np.unique(find_regions(p, salient, Rule(min_pixels=2)).regions)) == {0, 1}
    parts = find_regions(p, salient, Rule(min_pixels=2, parts=True)).regions
    assert (parts[1:4, 1:4] == 1).all() and (parts[1:4, 5:8] == 2).all() and (parts > 0).sum() == 18


def test_small_parts_go_and_the_others_are_numbered_without_a_gap() -> None:
    p = np.zeros((2, 3, 9))
    p[0] = 1
    salient = np.zeros((3, 9), bool)
    salient[1, 0] = salient[1, 3:5] = salient[1, 7:9] = True
    found = find_regions(p, salient, Rule(min_pixels=1, parts=True)).regions
    assert found[1].tolist() == [0, 0, 0, 1, 1, 0, 0, 2, 2]


def test_base_classes_grow_into_background_alone() -> None:
    base = np.array([[1, 0, 0, 0, 2]], np.uint8)
    assert grown(base, 0) is base
    assert grown(base, 1).tolist() == [[1, 1, 0, 2, 2]]


def test_specks_are_opened_away() -> None:
    p = np.zeros((2, 9, 9))
    p[0] = 1
    salient = np.zeros((9, 9), bool)
    salient[2:7, 2:7] = salient[0, 8] = True
    found = find_regions(p, salient, Rule(min_pixels=0, opened=1)).regions
    assert found[4, 4] == 1 and found[0, 8] == 0


def test_what_is_salient_or_base_and_in_neither_is_ignored_if_told() -> None:
    salient = np.array([[False, True, True, False]])
    rule = Rule(tau=0.9, min_pixels=5)
    assert find_regions(FOUR, salient, rule).label.tolist() == [[1, 0, 0, 0]]
    # 1: base. 2: doubtful base and salient. 3: salient, of no region. 4: base at tau, not above
    assert find_regions(FOUR, salient, rule._replace(doubt=True)).label.tolist() == [[1, 255, 255, 255]]


def test_the_label_says_base_before_cluster_before_background() -> None:
    found = Found(np.array([[1, 0, 0, 0, 255]], np.uint8), np.array([[0, 1, 2, 0, 0]], np.uint8))
    assert pseudo_label(found, {1: 4, 2: 5}).tolist() == [[1, 4, 5, 0, 255]]
    assert pseudo_label(found, {1: 4}).tolist() == [[1, 4, 255, 0, 255]]


def test_saliency_of_nothing_gives_no_region() -> None:
    found = find_regions(FOUR, np.zeros((1, 4), bool), Rule(min_pixels=0))
    assert found.regions.max() == 0
