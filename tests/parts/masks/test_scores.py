"""Scores against the published definitions, written here naively, vertex by vertex, on a zoo of masks."""

from __future__ import annotations

import math
from itertools import pairwise

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from stages.parts.masks import scores
from stages.parts.masks.contour import canonical, energy, largest_contour, smoothness, turning

Mask = NDArray[np.bool_]


def disc(radius: int, side: int = 512) -> Mask:
    y, x = np.mgrid[:side, :side] - side // 2
    return x**2 + y**2 < radius**2


def tipped_disc(radius: int, side: int = 512) -> Mask:
    """As OpenCV draws it: with a single pixel at each end of the axes, four right turns in the contour."""
    canvas = np.zeros((side, side), np.uint8)
    cv2.circle(canvas, (side // 2, side // 2), radius, 1, -1)
    return canvas.astype(bool)


def block(top: int, bottom: int, left: int, right: int, side: int = 64) -> Mask:
    mask = np.zeros((side, side), bool)
    mask[top:bottom, left:right] = True
    return mask


def ragged(sigma: float, amplitude: float, seed: int, side: int = 128) -> Mask:
    """An ellipse whose outline is pushed by noise of that correlation length and amplitude, in pixels."""
    y, x = np.mgrid[:side, :side] - side / 2
    noise = cv2.GaussianBlur(np.random.default_rng(seed).standard_normal((side, side)), (0, 0), sigma)
    return np.hypot(x / 1.4, y) + amplitude * noise / noise.std() < side / 4


def speckled(density: float, seed: int) -> Mask:
    return np.random.default_rng(seed).random((48, 80)) < density


BLOCKS = (
    (0, 1, 0, 1), (5, 6, 5, 7), (5, 7, 5, 7), (9, 12, 3, 60), (20, 50, 10, 55), (0, 64, 20, 40), (0, 30, 0, 30),
    (40, 64, 0, 64), (31, 33, 31, 33),
)  # fmt: skip


def zoo() -> dict[str, Mask]:
    animals = {
        "empty": np.zeros((64, 64), bool),
        "full": np.ones((64, 64), bool),
        "odd": np.eye(9, dtype=bool),
    }
    animals |= {f"disc {r}": disc(r, 128) for r in (1, 2, 3, 5, 8, 13, 21, 34, 55)}
    animals |= {f"tipped disc {r}": tipped_disc(r, 128) for r in (2, 5, 20, 50)}
    animals |= {f"block {b}": block(*b) for b in BLOCKS}
    animals |= {f"ragged {s} {a} {n}": ragged(s, a, n) for s in (1, 2, 4) for a in (1, 3, 6) for n in (0, 1)}
    animals |= {f"speckled {d} {n}": speckled(d, n) for d in (0.02, 0.2, 0.5, 0.8) for n in range(4)}
    animals["two parts"] = block(5, 25, 5, 25) | block(40, 60, 30, 60)
    animals["corner to corner"] = block(10, 20, 10, 20) | block(20, 30, 20, 30)
    animals["ring"] = disc(40, 128) & ~disc(30, 128)
    animals["two holes"] = block(10, 50, 10, 50) & ~block(15, 20, 15, 20) & ~block(30, 40, 30, 40)
    animals["comb"] = block(10, 60, 2, 62) & ~(block(10, 50, 2, 62) & (np.arange(64) % 4 < 2)[None, :])
    animals["cross"] = block(30, 34, 5, 60) | block(5, 60, 30, 34)
    animals["line"] = block(12, 13, 4, 50)
    animals["diagonal"] = np.eye(64, dtype=bool)
    return animals


ZOO = zoo()


def published_contour(mask: Mask) -> NDArray[np.int32]:
    contours, _ = cv2.findContours(mask.astype(np.uint8) * 255, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    largest, vertices = -1.0, np.zeros((0, 2), np.int32)
    for contour in contours:
        if cv2.contourArea(contour) > largest:
            largest, vertices = cv2.contourArea(contour), contour.reshape(-1, 2).astype(np.int32)
    return vertices


def published_perimeter(vertices: NDArray[np.int32]) -> float:
    return sum(math.dist(vertices[i], vertices[(i + 1) % len(vertices)]) for i in range(len(vertices)))


def published_smoothness(mask: Mask) -> float:
    kernel = np.ones((3, 3), np.uint8)
    smooth = cv2.morphologyEx(mask.astype(np.uint8) * 255, cv2.MORPH_OPEN, kernel)
    smooth = cv2.morphologyEx(smooth, cv2.MORPH_CLOSE, kernel)
    below = published_perimeter(published_contour(smooth > 0))
    return published_perimeter(published_contour(mask)) / below if below else 0.0


def published_energy(mask: Mask) -> float:
    vertices = published_contour(mask).astype(float)
    if len(vertices) < 3:
        return 0.0
    angles = []
    for i in range(len(vertices)):
        first, second, third = (vertices[(i + k) % len(vertices)] for k in range(3))
        (ax, ay), (bx, by) = second - first, third - second
        cosine = (ax * bx + ay * by) / (math.hypot(ax, ay) * math.hypot(bx, by))
        angles.append(math.acos(min(1.0, max(-1.0, cosine))))
    return sum(abs(after - before) for before, after in pairwise(angles))


def published_lower_half(mask: Mask) -> float:
    height = mask.shape[0]
    lower = sum(int(mask[row].sum()) for row in range(height // 2, height))
    return lower / int(mask.sum()) if mask.any() else 0.0


def test_the_zoo_is_large_and_varied() -> None:
    assert len(ZOO) >= 60
    measured = [scores.shape(mask) for mask in ZOO.values()]
    assert len({round(score["energy"], 6) for score in measured}) > 25
    assert any(score["smoothness"] < 1 for score in measured)
    assert any(score["energy"] > 50 for score in measured)


@pytest.mark.parametrize("name", ZOO)
def test_the_published_four_are_as_published(name: str) -> None:
    mask = ZOO[name]
    measured = scores.shape(mask)
    assert measured["area"] == mask.astype(float).mean()
    assert measured["lower_half"] == published_lower_half(mask)
    assert measured["smoothness"] == pytest.approx(published_smoothness(mask), rel=1e-6, abs=1e-12)
    assert measured["energy"] == pytest.approx(published_energy(mask), rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("name", ZOO)
def test_every_score_is_finite_and_in_its_range(name: str) -> None:
    measured = scores.shape(ZOO[name])
    assert all(math.isfinite(value) for value in measured.values())
    shares = ("area", "lower_half", "largest_share", *(c for c in measured if c.startswith("border")))
    assert all(0.0 <= measured[column] <= 1.0 for column in shares)
    assert min(measured.values()) >= 0


@pytest.mark.parametrize("name", ZOO)
def test_parts_and_holes_are_those_of_a_flood_fill(name: str) -> None:
    mask = ZOO[name]
    sizes = flood(mask, ((0, 1), (1, 0), (1, 1), (1, -1)))
    measured = scores.shape(mask)
    assert measured["components"] == len(sizes)
    assert measured["largest_share"] == (max(sizes) / sum(sizes) if sizes else 0.0)
    framed = np.pad(~mask, 1, constant_values=True)
    assert measured["holes"] == len(flood(framed, ((0, 1), (1, 0)))) - 1


def flood(mask: Mask, steps: tuple[tuple[int, int], ...]) -> list[int]:
    """Sizes of the connected parts, one pixel after the other; `steps` are half of the neighbours."""
    left, sizes = set(zip(*map(np.ndarray.tolist, np.nonzero(mask)), strict=True)), []
    while left:
        stack, size = [left.pop()], 0
        while stack:
            y, x = stack.pop()
            size += 1
            for dy, dx in (*steps, *((-dy, -dx) for dy, dx in steps)):
                if (y + dy, x + dx) in left:
                    left.remove((y + dy, x + dx))
                    stack.append((y + dy, x + dx))
        sizes.append(size)
    return sizes


@pytest.mark.parametrize("radius", [40, 60, 80, 100, 120, 140, 160, 180])
def test_golden_discs_are_perfectly_smooth(radius: int) -> None:
    measured = scores.shape(disc(radius))
    assert measured["smoothness"] == pytest.approx(1.0, abs=5e-5)
    assert measured["energy"] == pytest.approx(0.0, abs=1e-9)
    assert measured["circularity"] == pytest.approx(0.91, abs=0.02)


def test_golden_rectangle() -> None:
    measured = scores.shape(block(100, 300, 150, 400, side=512))
    assert measured["smoothness"] == 1.0
    assert measured["energy"] == pytest.approx(0.0, abs=1e-12)
    assert measured["circularity"] == pytest.approx(4 * math.pi * 200 * 250 / (2 * 199 + 2 * 249) ** 2)
    assert measured["lower_half"] == 44 / 200


def test_golden_speck_two_parts_and_empty() -> None:
    """A 10 x 10 speck passes the published four, two parts can be rounder than a circle, empty fails."""
    speck = scores.shape(block(100, 110, 100, 110, side=512))
    assert (speck["smoothness"], speck["energy"]) == (1.0, 0.0)
    two = scores.shape(disc(60) ^ np.roll(disc(60), 150, axis=1))
    assert two["circularity"] > 1.2
    assert two["components"] == 2
    empty = scores.shape(np.zeros((64, 64), bool))
    assert set(empty.values()) == {0}


def test_full_mask() -> None:
    full = scores.shape(np.ones((64, 64), bool))
    assert (full["area"], full["lower_half"], full["smoothness"], full["holes"]) == (1.0, 0.5, 1.0, 0)
    assert [full[f"border_{side}"] for side in ("top", "bottom", "left", "right")] == [1.0] * 4


def test_noise_raises_energy_and_finer_noise_more() -> None:
    """The ordering of the golden table: short correlation is the most energetic."""
    mean = {s: np.mean([energy(largest_contour(ragged(s, 2, n, 512))) for n in range(3)]) for s in (1, 2, 4)}
    assert mean[1] > mean[2] > mean[4] > 0


def waves(side: int, amplitude: float, finest: int, seed: int) -> Mask:
    """One outline of many waves, drawn into a picture of any size."""
    rng, angle = np.random.default_rng(seed), np.linspace(0, 2 * np.pi, 4096, endpoint=False)
    orders = np.arange(2, finest)
    strength, phase = rng.standard_normal(len(orders)) / orders**0.5, rng.uniform(0, 2 * np.pi, len(orders))
    push = (strength[:, None] * np.cos(orders[:, None] * angle + phase[:, None])).sum(axis=0)
    radius = (1 + amplitude * push / push.std()) * side / 5
    points = side / 2 + np.stack([1.4 * radius * np.cos(angle), radius * np.sin(angle)], axis=1)
    canvas = np.zeros((side, side), np.uint8)
    cv2.fillPoly(canvas, [np.rint(points * 16).astype(np.int32)], 1, shift=4)
    return canvas.astype(bool)


@pytest.mark.parametrize(("amplitude", "finest"), [(0.1, 40), (0.2, 30), (0.25, 60)])
@pytest.mark.parametrize("seed", [0, 1])
def test_turning_hardly_depends_on_the_size_of_the_picture(amplitude: float, finest: int, seed: int) -> None:
    found = [turning(waves(side, amplitude, finest, seed)) for side in (64, 96, 128, 256, 512)]
    assert max(found) < 2 * min(found) and min(found) > 0.2
    vertices = [len(largest_contour(waves(side, amplitude, finest, seed))) for side in (64, 512)]
    energies = [energy(largest_contour(waves(side, amplitude, finest, seed))) for side in (64, 512)]
    assert energies[0] / vertices[0] > 3 * energies[1] / vertices[1], "else a measure at one size would not be needed"


def test_turning_tells_ragged_from_smooth_and_does_not_see_where_the_mask_lies() -> None:
    smooth = [turning(disc(40, 128)), turning(block(100, 300, 150, 400, side=512)), turning(waves(512, 0.02, 6, 0))]
    assert max(smooth) < 0.1 < 0.2 < turning(waves(512, 0.1, 40, 0)) < turning(waves(512, 0.25, 60, 0))
    mask = waves(256, 0.2, 30, 0)
    assert turning(np.roll(mask, (30, -20), (0, 1))) == turning(mask) == turning(np.pad(mask, 50))
    assert turning(np.zeros((64, 64), bool)) == turning(block(5, 6, 5, 6)) == 0.0


def test_a_mask_is_brought_to_64_pixels_and_a_rim_whatever_its_shape() -> None:
    assert canonical(block(0, 32, 0, 16)).shape == (66, 34)
    assert canonical(block(10, 11, 3, 60)).shape == (3, 66)
    assert canonical(np.ones((512, 512), bool))[1:-1, 1:-1].all() and not canonical(np.ones((512, 512), bool))[0].any()
    assert not canonical(np.zeros((9, 9), bool)).any()


def test_smoothness_of_a_hair_is_above_one() -> None:
    mask = block(20, 40, 20, 40) | block(30, 31, 40, 60)
    assert smoothness(mask, largest_contour(mask)) == pytest.approx((2 * 19 + 2 * 19 + 40) / (4 * 19), abs=0.02)


def test_the_largest_contour_is_by_area_not_by_length() -> None:
    mask = block(10, 30, 10, 30) | block(50, 51, 0, 64)
    assert largest_contour(mask).min(axis=0).tolist() == [10, 10]


def test_mirroring_left_and_right_swaps_only_those_borders() -> None:
    mask = ZOO["ragged 4 3 0"].copy()
    mask[60:70, :40] = True
    one, other = scores.shape(mask), scores.shape(mask[:, ::-1])
    assert one["border_left"] == other["border_right"] > 0 == one["border_right"] == other["border_left"]
    for column in ("area", "lower_half", "components", "largest_share", "holes", "border_top"):
        assert one[column] == other[column]


def test_stability_is_the_iou_at_plus_and_minus_one() -> None:
    logits = np.array([[2.0, 1.5, 1.0, 0.2], [-0.5, -1.0, -3.0, 1.1]], np.float32)
    assert scores.stability(logits) == 3 / 6
    assert scores.stability(np.full((4, 4), -9.0, np.float32)) == 0.0
    assert scores.stability(np.full((4, 4), 9.0, np.float32)) == 1.0


def test_agreement_is_the_iou_with_the_seed() -> None:
    assert scores.agreement(block(0, 10, 0, 10), block(0, 10, 5, 15)) == 50 / 150
    assert scores.agreement(block(0, 10, 0, 10), block(0, 10, 0, 10)) == 1.0
    assert scores.agreement(block(0, 0, 0, 0), block(0, 0, 0, 0)) == 0.0


def test_attribution_inside_and_outside() -> None:
    normalised = np.array([[1.0, 0.5], [0.25, 0.0]], np.float32)
    mask = np.array([[True, True], [False, False]])
    assert scores.attribution(mask, normalised) == {"inside_attribution": 0.75, "outside_attribution": 0.125}
    assert scores.attribution(np.ones((2, 2), bool), normalised)["outside_attribution"] == 0.0
    assert scores.attribution(np.zeros((2, 2), bool), normalised)["inside_attribution"] == 0.0
