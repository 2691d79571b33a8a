"""Training: the same bytes from every run, self-training from its own labels, and every set what it says it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from stages.dataset_diffusion.augmentation import Pad, PhotometricDistortion, RandomResize, cut_out
from stages.dataset_diffusion.params import Params
from stages.dataset_diffusion.rounds import Sources, Supervised, first_photos, round_of
from stages.dataset_diffusion.train import CURVES, WEIGHTS, main
from stages.parts.datasets.joined import Joined
from stages.parts.datasets.label_spaces import SMALL_VOC
from stages.parts.errors import GraftError
from stages.parts.learning.fit import make_deterministic
from stages.parts.learning.hooks import Checkpoint
from stages.parts.sections import read
from stages.parts.segmenter.further import build_network, load_encoder, load_halves, save_halves
from stages.parts.segmenter.multi_scale import predict_scales
from stages.parts.segmenter.predict import predict
from tests.dataset_diffusion.conftest import ROOT, fails, set_line
from tests.dataset_diffusion.test_masks import DRAWINGS, FOLDER, draw
from tests.dataset_diffusion.test_masks import main as make_masks


def results(seed: int = 0, draw: int = 0) -> dict[str, Any]:
    rng = np.random.default_rng(7)
    image, label = rng.integers(0, 256, (20, 30, 3), np.uint8), rng.integers(0, 7, (20, 30), np.uint8)
    return {"img": image, "gt_seg_map": label, "seed": seed, "draw": draw, "side": "drawn"}


def test_picture_and_label_are_scaled_together_and_padded_with_255() -> None:
    scaled = RandomResize(0.5, 0.5).transform(results())
    assert scaled["img"].shape == (10, 15, 3) and scaled["gt_seg_map"].shape == (10, 15)
    padded = Pad(16, 12).transform(scaled)
    assert padded["img"].shape == (16, 15, 3) and (padded["gt_seg_map"][10:] == 255).all()
    assert (padded["gt_seg_map"][:10] == scaled["gt_seg_map"]).all()


def test_colours_change_by_the_draw_alone_and_not_at_chance_0() -> None:
    distort = PhotometricDistortion(1.0)
    one, again, other = (distort.transform(results(draw=k))["img"] for k in (1, 1, 2))
    assert (one == again).all() and (one != other).any()
    assert (PhotometricDistortion(0.0).transform(results())["img"] == results()["img"]).all()


def test_objects_are_cut_out_whole_large_and_off_the_border() -> None:
    image, label = np.full((20, 20, 3), 9, np.uint8), np.zeros((20, 20), np.uint8)
    label[5:12, 6:14] = 2
    label[1, 1] = 2  # a crumb of the same class
    label[3:6, 16:20] = 3  # at the border
    label[15:17, 5:7] = 4  # too small
    label[12, 6:14] = 255
    bank = cut_out([(image, label)], 0.05, "cut")
    assert list(bank) == [2] and bank[2][0].shape == (7, 8, 4) and (bank[2][0][..., 3] == 255).all()


def test_weights_are_halves_that_give_the_network_back(tmp_path: Path) -> None:
    make_deterministic(0)
    model = build_network("unet-3", 7).eval()
    save_halves(model, tmp_path / "a.safetensors", "unet-3", SMALL_VOC.names)
    save_halves(model, tmp_path / "b.safetensors", "unet-3", SMALL_VOC.names)
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()
    assert (tmp_path / "a.safetensors").stat().st_size < 520_000
    loaded, classes = load_halves(tmp_path / "a.safetensors", "x")
    assert classes == SMALL_VOC.names
    for name, value in loaded.state_dict().items():
        assert torch.allclose(value, model.state_dict()[name], atol=1e-3)
    (tmp_path / "a.safetensors").write_bytes(b"x")
    with pytest.raises(GraftError, match="is damaged or no segmenter of this version; run it"):
        load_halves(tmp_path / "a.safetensors", "run it")


def test_the_small_unet_starts_from_the_first_levels_of_the_encoder() -> None:
    path = ROOT / "models/miniature/encoder/model.safetensors"
    small, whole = build_network("unet-3", 7), build_network("unet", 7)
    load_encoder(small, path)
    load_encoder(whole, path)
    theirs = whole.backbone.encoder.state_dict()
    assert all((value == theirs[name]).all() for name, value in small.backbone.encoder.state_dict().items())


@pytest.mark.parametrize("name", ["deeplabv3-r50", "segformer-b0", "daformer-b0"])
def test_a_network_of_the_published_kinds_learns_from_labels(name: str) -> None:
    model = build_network(name, 21)
    assert model.num_classes == 21
    assert model.with_auxiliary_head == name.startswith("deeplab")


def test_one_scale_is_the_plain_prediction_and_several_are_their_mean() -> None:
    make_deterministic(0)
    model = build_network("unet-3", 7).eval()
    image = np.random.default_rng(0).integers(0, 256, (40, 48, 3), np.uint8)
    assert (predict_scales(model, [image])[0] == predict(model, [image])[0]).all()
    (mirrored,) = predict_scales(model, [np.ascontiguousarray(image[:, ::-1])], (0.5, 1.0), flip=True)
    (straight,) = predict_scales(model, [image], (0.5, 1.0), flip=True)
    assert (mirrored[:, ::-1] != straight).mean() < 0.01
    assert predict_scales(model, []) == []


@pytest.fixture
def masked(project: Path) -> Path:
    draw()
    for variant in ("full", "full_selftrained", "supervised"):
        make_masks([variant])
    return project


def weights(variant: str, seed: int = 0) -> bytes:
    return (WEIGHTS / f"{variant}-{seed}.safetensors").read_bytes()


def sources(variant: str = "full") -> Sources:
    return Sources(SMALL_VOC, Joined(DRAWINGS / "one_by_one", FOLDER / variant), None)


def test_a_training_repeats_itself_to_the_byte_and_another_seed_does_not(masked: Path) -> None:
    main(["full", "0"])
    first, curve = weights("full"), (CURVES / "full-0.csv").read_text()
    main(["full", "0"])
    assert weights("full") == first and (CURVES / "full-0.csv").read_text() == curve
    assert curve.startswith("iter,") and len(curve.splitlines()) == 4
    main(["full", "1"])
    assert weights("full", 1) != first
    assert not list(Path("data/.work").glob("*/*"))


def test_a_training_that_was_stopped_goes_on_to_the_same_bytes(masked: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    set_line({"train.iterations": 4, "train.ema": 0.9, "changes.full.train.rounds": 2})
    main(["full", "0"])
    whole = weights("full")
    monkeypatch.setattr("stages.parts.learning.fit.CHECKPOINT_INTERVAL", 2)
    saved = Checkpoint.after_train_iter
    for stop in (1, 2):  # in the first round, then in the second

        def stopping(self: Checkpoint, runner: Any, *args: Any, at: int = stop, **kwargs: Any) -> None:
            saved(self, runner, *args, **kwargs)
            if runner.iter == 2 and Path(runner.work_dir).name == f"round-{at}":
                raise KeyboardInterrupt

        monkeypatch.setattr(Checkpoint, "after_train_iter", stopping)
        with pytest.raises(SystemExit):
            main(["full", "0"])
    monkeypatch.setattr(Checkpoint, "after_train_iter", saved)
    main(["full", "0"])
    assert weights("full") == whole


def test_self_training_learns_from_its_own_plain_labels(masked: Path) -> None:
    settings = read(Params).dataset_diffusion.train_of("full")
    model, _ = round_of(settings, 0, sources(), None, masked / "work")
    again = sources().relabelled(model)
    assert again.drawings is not None
    label = again.drawings.label("000000")
    assert 255 not in label and label.shape == (32, 32)
    main(["full", "0"])
    main(["full_selftrained", "0"])
    assert weights("full") != weights("full_selftrained")


def test_a_finished_round_is_read_back(masked: Path) -> None:
    settings = read(Params).dataset_diffusion.train_of("full")
    model, curve = round_of(settings, 0, sources(), None, masked / "work")
    again, told = round_of(settings, 0, sources(), None, masked / "work")
    assert told == curve
    assert all((value == again.state_dict()[name]).all() for name, value in model.state_dict().items())


def test_the_average_of_the_weights_predicts_and_is_another_than_the_weights(masked: Path) -> None:
    main(["full", "0"])
    plain = weights("full")
    set_line({"train.ema": 0.5})
    main(["full", "0"])
    assert weights("full") != plain
    assert Supervised(build_network("unet-3", 7), taught=False).trained is not None


def test_photos_alone_and_photos_with_drawings(masked: Path) -> None:
    main(["supervised", "0"])
    assert len(first_photos(Path("data/photos/train"), 0.5)) == 3
    set_line({"changes.full.train": {"real": 0.5}})
    main(["full", "0"])
    header = (CURVES / "full-0.csv").read_text().splitlines()[0]
    assert "drawn.decode.loss_ce" in header and "real.decode.loss_ce" in header


def test_a_mask_of_another_picture_is_a_sentence(masked: Path, capsys: pytest.CaptureFixture[str]) -> None:
    draw({"000000": "", "000001": "", "000002": ""}, powers=(0, 2))
    assert "is of another picture than that in data/dataset_diffusion/drawings" in fails(main, capsys, "full", "0")


def test_a_variant_without_a_labelled_picture_is_a_sentence(masked: Path, capsys: pytest.CaptureFixture[str]) -> None:
    draw({"000000": "flat_map"})
    make_masks(["full"])
    assert "has no labelled picture to learn from" in fails(main, capsys, "full", "0")
