"""Masks: a threshold is a second of work, what is rejected has none, and each option does what it says and no more."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from stages.dataset_diffusion.generate import FOLDER as DRAWINGS
from stages.dataset_diffusion.labelling import Snapping, crf_labels, open_labeller, overlaid
from stages.dataset_diffusion.masks import FOLDER, main
from stages.dataset_diffusion.params import Masks
from stages.parts.datasets.joined import Joined
from stages.parts.datasets.labels import IGNORE
from stages.parts.datasets.palette import palette_png_array
from stages.parts.datasets.photo_shards import STORED, jpeg_bytes
from stages.parts.masks.class_maps import enlarged, label_map
from stages.parts.pretrained.sam import Sam
from stages.parts.store.samples import Sample, Shards, build, key, npy_bytes
from tests.dataset_diffusion.conftest import CLASSES, ROOT, content, fails, set_line

KERNELS = {
    "iterations": 5, "bilateral_weight": 4.0, "bilateral_xy": 8.0, "bilateral_rgb": 13.0, "gaussian_weight": 1.0,
    "gaussian_xy": 1.0,
}  # fmt: skip
SIDE = 32


def halves() -> tuple[np.ndarray, np.ndarray]:
    """A picture, dark on the left and light on the right, and the two maps (16 x 16) of a class on each side."""
    image = np.full((SIDE, SIDE, 3), 30, np.uint8)
    image[:, SIDE // 2 :] = 220
    maps = np.zeros((2, 16, 16), np.float32)
    maps[0, 4:12, 1:6] = 1
    maps[1, 4:12, 10:15] = 1
    return image, maps


def draw(names: dict[str, str] | None = None, space: str = "small_voc", powers: tuple[int, ...] = (0, 1, 2, 4)) -> None:
    """Drawings on disk, uid -> why it is rejected, as generate leaves them."""
    image, maps = halves()
    names = names or {"000000": "", "000001": "flat_map", "000002": ""}
    keys = {uid: key(uid=uid, powers=powers, space=space, rejected=names[uid]) for uid in names}
    for prompt in ("one_by_one", "classes"):
        build(
            DRAWINGS / prompt,
            keys,
            lambda uids: (
                Sample(
                    uid,
                    keys[uid],
                    {
                        "prompt": "", "space": space, "classes": ["bus", "car"], "powers": list(powers),
                        "peaks": [0.5, 0.1], "rejected": names[uid], "height": SIDE, "width": SIDE,
                    },
                    {STORED: jpeg_bytes(image), "maps.npy": npy_bytes(np.stack([maps] * len(powers)))},
                )
                for uid in uids
            ),
            title=prompt,
        )  # fmt: skip


def label_of(variant: str = "full", uid: str = "000000") -> np.ndarray:
    return palette_png_array(Shards(FOLDER / variant).read(uid)["mask.png"])


def test_a_mask_has_each_class_where_its_map_is(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    draw()
    main(["full"])
    label = label_of()
    assert label[16, 6] == 3 and label[16, 24] == 1 and label[0, 0] == 0  # bus, car, background
    assert [row["uid"] for row in Shards(FOLDER / "full").rows] == ["000000", "000002"]
    assert "1 of 3 drawings are left out (1 flat_map)" in capsys.readouterr().err


def test_a_changed_threshold_makes_masks_and_no_drawing(project: Path) -> None:
    draw()
    main(["full"])
    before, drawings = content(FOLDER), content(DRAWINGS)
    set_line({"masks.threshold": 0.9})
    main(["full"])
    assert content(FOLDER) != before and content(DRAWINGS) == drawings
    assert (label_of() == IGNORE).sum() > 0
    set_line({"masks.threshold": 0.6})
    main(["full"])
    assert content(FOLDER) == before


def test_a_variant_has_its_own_changes_and_one_without_drawings_no_mask(project: Path) -> None:
    draw()
    set_line({"changes.plainest.masks.threshold": 0.95})
    for variant in ("full", "plainest", "supervised"):
        main([variant])
    assert (label_of("plainest") == IGNORE).sum() > (label_of("full") == IGNORE).sum()
    assert Shards(FOLDER / "supervised").rows == []


def test_masks_know_their_drawings(project: Path) -> None:
    draw()
    main(["full"])
    joined = Joined(DRAWINGS / "one_by_one", FOLDER / "full").verify()
    assert len(joined) == 2 and set(joined.read("000000")) == {"image.png", "label.png"}
    assert joined.rows[0]["pixels"]["3"] == int((label_of() == 3).sum())


def test_a_drawing_of_another_space_or_without_the_power_is_a_sentence(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    draw(space="voc")
    assert "was drawn for" in fails(main, capsys, "full")
    draw(powers=(0, 1))
    assert "has no maps of power 2; add it to dataset_diffusion.powers" in fails(main, capsys, "full")
    assert "changes: 'half' is not among" in fails(main, capsys, "half")


def test_a_band_of_doubt_above_the_threshold_is_a_sentence(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    set_line({"masks.uncertain": 0.7})
    assert "uncertain must not be above threshold" in fails(main, capsys, "full")


def test_a_crf_settles_doubt_by_the_pictures_edge_and_needs_two_labels() -> None:
    image, _ = halves()
    label = np.where(np.arange(SIDE) < 12, 1, np.where(np.arange(SIDE) < 20, IGNORE, 2))[None].repeat(SIDE, 0)
    settled = crf_labels(image, label.astype(np.uint8), KERNELS)
    assert (settled[:, : SIDE // 2] == 1).mean() > 0.95 and (settled[:, SIDE // 2 :] == 2).mean() > 0.95
    alone = np.full((SIDE, SIDE), 1, np.uint8)
    assert (crf_labels(image, alone, KERNELS) == alone).all()


def settings(**changes: object) -> Masks:
    values = {
        "prompt": "classes", "power": 0, "threshold": 0.6, "uncertain": 0.5, "margin": 0.0,
        "crf": KERNELS | {"iterations": 0}, "snap": {"model": None, "prompt": "inside", "min_agreement": 0.4},
        "presence": {"model": None, "min_score": 0.5},
    }  # fmt: skip
    return Masks.model_validate(values | changes)


def test_options_that_are_off_leave_the_thresholds_alone() -> None:
    image, maps = halves()
    plain = open_labeller(settings(), CLASSES, None, None)(image, maps, [3, 1])
    assert (plain == label_map(enlarged(maps, image.shape), [3, 1], 0.6, 0.5)).all()
    assert set(np.unique(plain)) == {0, 1, 3, IGNORE}


def test_a_region_that_does_not_show_its_class_is_ignored_and_no_other_pixel_changes() -> None:
    image, maps = halves()
    clip = ROOT / "models/miniature/clip"
    plain = open_labeller(settings(), CLASSES, None, None)(image, maps, [3, 1])
    sure = settings(presence={"model": None, "min_score": 1.0})
    none = open_labeller(sure, CLASSES, None, clip)(image, maps, [3, 1])
    assert (none == np.where(plain == 0, 0, IGNORE)).all()
    every = settings(presence={"model": None, "min_score": 0.0})
    assert (open_labeller(every, CLASSES, None, clip)(image, maps, [3, 1]) == plain).all()


def test_what_is_small_stands_before_what_is_large() -> None:
    large, small, doubt = np.ones((2, 3), np.bool_), np.zeros((2, 3), np.bool_), np.zeros((2, 3), np.bool_)
    large[:, 2] = False
    small[0, 0] = doubt[0, 0] = doubt[0, 2] = True
    assert overlaid({1: small, 2: large}, doubt).tolist() == [[1, 2, IGNORE], [2, 2, 0]]


def test_a_small_sam_gives_a_region_its_edges_and_keeps_what_it_does_not_agree_with() -> None:
    image = np.full((64, 64, 3), 90, np.uint8)
    image[20:48, 12:52] = (200, 40, 40)
    region, doubt = np.zeros((64, 64), np.bool_), np.zeros((64, 64), np.bool_)
    region[24:44, 18:46] = doubt[18:24, 18:46] = True
    model = Sam(ROOT / "models/miniature/sam_groups")
    kept, still = Snapping(model, "inside", 1.0)(image, {2: region}, doubt)
    assert (kept[2] == region).all() and (still == doubt).all()  # an IoU of 1 is never reached
    taken, settled = Snapping(model, "inside", 0.0)(image, {2: region}, doubt)
    assert taken[2].any() and (taken[2] != region).any() and not settled.any()
