"""Compositing beyond a hard paste: edges, rings, doubt, protected classes, colours; presets and forced pastes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from mmseg.registry import TRANSFORMS

from stages.parts.pasting.composite import Edge, match_colours, resize
from stages.parts.pasting.paste import PasteCutouts
from stages.parts.pasting.place import Scale
from stages.train.presets import TRAIN
from tests.parts.pasting.test_paste import bank, paste, pasting, run, street
from tests.train.conftest import write_bank

SCENE = np.full((12, 12, 3), 100, np.uint8)
WALL = np.full((12, 12), 2, np.uint8)


def square(side: int = 6, colour: int = 200) -> np.ndarray:
    return np.dstack([np.full((side, side, 3), colour, np.uint8), np.full((side, side), 255, np.uint8)])


def test_a_ring_of_doubt_is_painted_and_labelled_255():
    doubt = np.zeros((6, 6), np.uint8)
    doubt[0] = 255
    cutout = np.dstack([square(), doubt])
    image, label = paste(SCENE, WALL, cutout, 14, 3, 3)
    assert (label[3, 3:9] == 255).all()
    assert (label[4:9, 3:9] == 14).all()
    assert (image[3:9, 3:9] == 200).all()
    assert (label == 255).sum() == 6


def test_doubt_outside_of_the_opaque_pixels_is_labelled_255_and_not_painted():
    cutout = np.dstack([square(), np.zeros((6, 6), np.uint8)])
    cutout[0, :, 3], cutout[0, :, 4] = 0, 255
    image, label = paste(SCENE, WALL, cutout, 14, 3, 3)
    assert (label[3, 3:9] == 255).all()
    assert (image[3, 3:9] == 100).all()


def test_doubt_is_resized_with_its_cutout():
    doubt = np.zeros((8, 8), np.uint8)
    doubt[:4] = 255
    for size in (4, 6, 16):
        out = resize(np.dstack([square(8), doubt]), size, size)
        assert out.shape == (size, size, 5)
        assert (out[: size // 2, :, 4] == 255).all() and (out[size // 2 :, :, 4] == 0).all()


def test_the_ignore_ring_lies_on_either_side_of_the_outline_and_not_along_the_images_border():
    _, label = paste(SCENE, WALL, square(), 14, 3, 3, edge=Edge(ring=1))
    assert (label[4:8, 4:8] == 14).all()
    assert (label == 14).sum() == 16
    assert (label == 255).sum() == 8 * 8 - 4 * 4
    _, label = paste(SCENE, WALL, square(), 14, -3, 3, edge=Edge(ring=1))
    assert (label[0:2, 4:8] == 14).all()
    assert (label == 255).sum() == 4 * 8 - 2 * 4


@pytest.mark.parametrize("edge", [Edge("hard"), Edge("feather"), Edge("poisson"), Edge("hard", ring=1)])
def test_protected_classes_are_neither_painted_nor_relabelled(edge: Edge):
    label = WALL.copy()
    label[:, 5] = 5  # a pole
    image, pasted = paste(SCENE, label, square(), 14, 3, 3, edge=edge, protected=[5])
    assert (pasted[:, 5] == 5).all()
    assert (image[:, 5] == 100).all()
    assert (pasted == 14).any()


def test_a_feathered_edge_mixes_inside_of_the_outline_and_leaves_the_scene_outside():
    image, label = paste(SCENE, WALL, square(), 14, 3, 3, edge=Edge("feather", 1.0))
    assert (image[(label == 2)] == 100).all()
    assert (label == 14).sum() == 36
    row = image[6, 3:9, 0].astype(int)
    assert 100 <= row[0] < row[1] < row[2] <= 200
    assert abs(row[2] - 200) < 15
    assert (row == row[::-1]).all()


def test_a_feathered_edge_does_not_fade_where_the_image_ends():
    large = np.full((36, 36, 3), 100, np.uint8), np.full((36, 36), 2, np.uint8)
    whole, _ = paste(*large, square(8), 14, 12, 12, edge=Edge("feather", 1.0))
    for row, col in [(-4, 2), (8, 2), (2, -4), (2, 8), (-4, -4)]:
        clipped, _ = paste(SCENE, WALL, square(8), 14, row, col, edge=Edge("feather", 1.0))
        assert (clipped == whole[12 - row : 24 - row, 12 - col : 24 - col]).all()


@pytest.mark.parametrize("shape", [(1, 8), (2, 8), (8, 1), (8, 2), (1, 1), (2, 2)])
def test_what_is_too_thin_for_a_poisson_edge_is_pasted_hard(shape: tuple[int, int]):
    cutout = np.full((*shape, 4), 255, np.uint8)
    for row, col in [(3, 3), (-1, 3), (3, 11), (11, -1)]:
        hard, poisson = (paste(SCENE, WALL, cutout, 14, row, col, edge=Edge(kind)) for kind in ("hard", "poisson"))
        assert all((one == other).all() for one, other in zip(hard, poisson, strict=True))


def test_a_poisson_edge_takes_any_mask_wherever_it_is_clipped():
    rng = np.random.default_rng(0)
    for _ in range(500):
        height, width = rng.integers(1, 10, 2)
        cutout = rng.integers(0, 255, (height, width, 4)).astype(np.uint8)
        cutout[..., 3] = 255 * (rng.random((height, width)) < rng.random())
        row, col = rng.integers([-height, -width], 12)
        _, label = paste(SCENE, WALL, cutout, 14, row, col, edge=Edge("poisson"))
        assert (label == 14).any() == (paste(SCENE, WALL, cutout, 14, row, col)[1] == 14).any()


def test_a_poisson_edge_keeps_gradients_and_takes_the_scenes_colour():
    cutout = square(8, 200)
    cutout[3:5, 3:5, :3] = 240  # a window, 40 levels brighter
    image, label = paste(SCENE, WALL, cutout, 14, 2, 2, edge=Edge("poisson"))
    assert (image[label == 2] == 100).all()
    assert abs(int(image[2, 2, 0]) - 100) < 10  # 200 where hard
    assert int(image[5, 5, 0]) - int(image[3, 3, 0]) > 8  # still the brighter
    for row, col in [(-4, -4), (8, 8), (-4, 5)]:
        clipped, _ = paste(SCENE, WALL, cutout, 14, row, col, edge=Edge("poisson"))
        assert clipped.shape == SCENE.shape


def test_matched_colours_have_the_scenes_mean_and_keep_their_alpha():
    rng = np.random.default_rng(0)
    cutout = np.dstack([rng.integers(120, 250, (40, 40, 3)), np.full((40, 40), 255)]).astype(np.uint8)
    scene = rng.integers(40, 120, (80, 80, 3)).astype(np.uint8)
    matched = match_colours(cutout, scene, 1.0)
    assert np.abs(matched[..., :3].mean((0, 1)) - scene.mean((0, 1))).max() < 8
    assert (matched[..., 3] == 255).all()
    half = match_colours(cutout, scene, 0.5)[..., :3].mean()
    assert matched[..., :3].mean() < half < cutout[..., :3].mean()
    assert match_colours(cutout, scene, 0.0) is cutout
    nothing = cutout.copy()
    nothing[..., 3] = 0
    assert match_colours(nothing, scene, 1.0) is nothing


def test_scale_by_area_gives_the_opaque_pixels_their_share():
    half = square(20)
    half[..., 3] = 255 * np.tri(20)
    height, width = Scale("area", 0.04, 0.04).size((100, 100), half, 0.5)
    assert height == width
    assert height * width / 2 == pytest.approx(0.04 * 100 * 100, rel=0.05)
    sizes = [Scale("area", 0.01, 0.25).size((100, 100), half, nearness)[0] for nearness in (0, 0.5, 1)]
    assert sizes[1] ** 2 == pytest.approx(sizes[0] * sizes[2], rel=0.05)  # log-uniform


def test_a_cutout_that_would_hardly_be_seen_is_not_pasted():
    wide = {14: [np.full((4, 60, 4), 255, np.uint8)]}
    every = pasting(wide, scale=Scale("native"))
    seen = pasting(wide, scale=Scale("native"), min_visible=0.9)
    shares = [(run(every, draw)[1] == 14).sum() / 240 for draw in range(60)]
    kept = [(run(seen, draw)[1] == 14).sum() / 240 for draw in range(60)]
    assert any(0 < share < 0.9 for share in shares)
    assert all(share == 0 or share >= 0.9 for share in kept)
    assert any(kept)


def test_the_class_that_rare_class_sampling_wants_is_pasted_for_sure():
    transform = pasting(bank(truck=(6, 10), bus=(6, 10)), probability=0.0)
    for draw in range(20):
        scene = {"img": np.zeros((40, 60, 3), np.uint8), "gt_seg_map": street()}
        wanted = transform({"seed": 0, "draw": draw, "wanted": (15, 0), **scene})["gt_seg_map"]
        assert (wanted == 15).any() and not (wanted == 14).any()
        base = transform({"seed": 0, "draw": draw, "wanted": (13, 0), **scene})["gt_seg_map"]
        assert (base == scene["gt_seg_map"]).all()


def test_a_wanted_class_is_pasted_where_there_is_no_ground_or_it_would_hardly_be_seen():
    scene = {"seed": 0, "img": np.zeros((40, 60, 3), np.uint8), "wanted": (14, 0)}
    wall = np.full((40, 60), 2, np.uint8)
    for per in ("image", "class"):
        transform = pasting(bank(truck=(6, 10), bus=(6, 10)), per=per, probability=0.5)
        labels = [transform(scene | {"draw": draw, "gt_seg_map": wall})["gt_seg_map"] for draw in range(20)]
        assert all((label == 14).any() and not (label == 15).any() for label in labels)
    wide = pasting({14: [np.full((4, 60, 4), 255, np.uint8)]}, scale=Scale("native"), min_visible=0.95)
    labels = [wide(scene | {"draw": draw, "gt_seg_map": street()})["gt_seg_map"] for draw in range(20)]
    assert all((label == 14).sum() >= 0.95 * 240 for label in labels)


def test_a_config_of_mmsegmentation_builds_it_from_plain_values(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    red = np.full((6, 10, 4), 255, np.uint8)
    red[..., 1:3] = 0
    write_bank(tmp_path, "grafted", {"truck-0": ("truck", 14, red)})
    config = {
        "type": "PasteCutouts", "bank": "data/cutouts/grafted", "probability": 1.0, "per": "image", "max_instances": 1,
        "scale": {"by": "height", "smallest": 0.2, "largest": 0.4}, "place": "ground", "flip": 0.5,
        "edge": {"blend": "hard", "ring": 1}, "protected": [5], "seed": 3,
    }  # fmt: skip
    transforms = {order: TRANSFORMS.build(config | {"channels": order}) for order in ("rgb", "bgr")}

    def pasted(order: str, **about: int) -> dict:
        arrays = {"img": np.zeros((40, 60, 3), np.uint8), "gt_seg_map": street()}
        return transforms[order].transform(arrays | about)

    for order, red_is in (("rgb", 0), ("bgr", 2)):  # mmsegmentation's loader gives bgr
        np.random.seed(0)
        results = [pasted(order) for _ in range(5)]  # without a draw: from numpy's generator, as mmsegmentation draws
        assert len({each["gt_seg_map"].tobytes() for each in results}) > 1
        np.random.seed(0)
        again = [pasted(order) for _ in range(5)]
        for one, other in zip(results, again, strict=True):
            assert (one["img"] == other["img"]).all() and (one["gt_seg_map"] == 255).any()
            truck = one["img"][one["gt_seg_map"] == 14]
            assert (truck[:, red_is] == 255).all() and not truck[:, 1].any()
    known, given = pasted("rgb", draw=7), pasted("rgb", draw=7, seed=3)
    assert (known["img"] == given["img"]).all()


def ucg(cutouts: dict, **changes: float) -> PasteCutouts:
    settings = TRAIN["ucg"]["paste"] | changes
    return PasteCutouts(
        cutouts, settings["probability"], settings["per"], settings["max_instances"], Scale(settings["scale"]),
        settings["place"], settings["flip"],
    )  # fmt: skip


def test_preset_ucg_pastes_each_class_on_its_own_once_and_at_native_size():
    transform = ucg({c: [np.full((5, 7, 4), 255, np.uint8)] for c in (14, 16)}, probability=0.5)
    labels = [run(transform, draw)[1] for draw in range(300)]
    both = [(label == 14).any() and (label == 16).any() for label in labels]
    assert sum((label == 16).any() for label in labels) == pytest.approx(150, abs=35)
    assert sum(both) == pytest.approx(75, abs=30)  # independent of each other
    assert {(label == 16).sum() for label in labels} == {0, 35}  # nothing hides the last class
    assert any(0 < (label == 14).sum() < 35 for label in labels)


def test_preset_ucg_pastes_into_one_image_in_twenty_per_class():
    transform = ucg(bank(truck=(4, 4)))
    assert sum((run(transform, draw)[1] == 14).any() for draw in range(2000)) == pytest.approx(100, abs=30)


def soft_pair() -> np.ndarray:
    """One row: a pixel beyond the outline at opacity 51, two inside at 204 and 255; all of colour 200; 1 x 3 x 6."""
    flags = ((0, 255, 51), (255, 255, 204), (255, 0, 255))  # alpha, doubt, soft edge
    return np.array([[[200, 200, 200, *one] for one in flags]], np.uint8)


def test_an_alpha_edge_mixes_by_its_opacity_on_both_sides_of_the_outline():
    image, label = paste(SCENE, WALL, soft_pair(), 14, 3, 3, edge=Edge("alpha"))
    assert image[3, 2:7, 0].tolist() == [100, 120, 180, 200, 100]  # 100 + 100 · 51 / 255, 100 + 100 · 204 / 255
    assert label[3, 2:7].tolist() == [2, 255, 255, 14, 2]
    protected = WALL.copy()
    protected[3, 3] = 5
    image, label = paste(SCENE, protected, soft_pair(), 14, 3, 3, edge=Edge("alpha"), protected=[5])
    assert (image[3, 3, 0], label[3, 3]) == (100, 5)


def test_without_a_soft_edge_alpha_is_hard():
    cutout = np.dstack([square(), np.zeros((6, 6), np.uint8)])
    for one, other in zip(
        paste(SCENE, WALL, cutout, 14, 3, 3, edge=Edge("alpha")), paste(SCENE, WALL, cutout, 14, 3, 3), strict=True
    ):
        assert (one == other).all()


def test_a_soft_edge_is_resized_softly_and_its_colour_does_not_fade():
    cutout = np.repeat(np.repeat(soft_pair(), 4, axis=0), 4, axis=1)
    cutout[:, :2, :3], cutout[:, :2, 5] = 0, 0  # nothing is known there
    small = resize(cutout, 1, 3)
    assert small[0, :, 5].tolist() == [26, 204, 255]  # half of 51, rounded up
    assert (small[0, :, :3] == 200).all() and small[0, :, 3].tolist() == [0, 255, 255]
    assert resize(cutout, 8, 24).shape == (8, 24, 6)


@pytest.mark.parametrize("blend", ["hard", "feather", "poisson"])
@pytest.mark.parametrize("scale", [Scale("native"), Scale("height", 0.2, 0.6)])
def test_other_edges_paste_the_same_bits_with_and_without_a_soft_edge_in_the_bank(blend: str, scale: Scale):
    rng = np.random.default_rng(0)
    cutout = rng.integers(1, 256, (9, 12, 6)).astype(np.uint8)
    cutout[..., 3:5] = 0
    cutout[2:7, 3:10, 3], cutout[2, 3:10, 4] = 255, 255
    before = cutout[..., :5].copy()
    before[before[..., 3] == 0, :3] = 0
    kept = cutout.copy()
    new, old = (
        pasting({14: [one]}, edge=Edge(blend), scale=scale, colour=0.5, place="anywhere")  # type: ignore[arg-type]
        for one in (cutout, before)
    )
    for draw in range(12):
        assert all((a == b).all() for a, b in zip(run(new, draw), run(old, draw), strict=True))
    assert (cutout == kept).all(), "the bank is not written to"
