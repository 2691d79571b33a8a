"""The refiner's own work: which scores it takes of what, whose word it passes on, and where it sees doubt."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from stages.parts.errors import GraftError
from stages.parts.masks.contour import turning
from stages.parts.masks.doubt import alpha, doubted, ring
from stages.parts.masks.sam_prompts import STYLES, prompt
from stages.parts.masks.scores import phash
from stages.parts.pretrained.clip import Clip, isolate
from stages.parts.pretrained.promptable import Candidates
from stages.parts.pretrained.sam import Sam
from stages.parts.prompts.zero_shot import texts
from stages.parts.segmenter.files import load_segmenter, save_segmenter
from stages.parts.segmenter.networks import build_segmenter
from stages.parts.store.samples import Sample, Shards, build, npy_bytes, png_array, png_bytes
from stages.refine.__main__ import main
from stages.refine.entropy import Certainty
from stages.refine.methods import Attention, Drawn, Found, OwnAttention, Prompted
from stages.refine.refiner import Raw, Refiner
from stages.refine.sample import raw
from tests.refine.test_refine_stage import CRF, attribution, edit_params, picture, place, table

__all__ = ["place"]  # a fixture: tests ask for it by name

OFF = CRF | {"iterations": 0}


def block(top: int, bottom: int, left: int, right: int) -> NDArray[np.bool_]:
    mask = np.zeros((64, 64), bool)
    mask[top:bottom, left:right] = True
    return mask


class Fixed:
    """A method that always finds this."""

    def __init__(self, found: Found) -> None:
        self.found = found

    def __call__(self, batch: Mapping[int, Drawn]) -> dict[int, Found]:
        return dict.fromkeys(batch, self.found)


@pytest.fixture(scope="module")
def clip(clip_folder: Path) -> Clip:
    return Clip(clip_folder, texts("bus"))


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small real segmenter of three classes, as train saves it."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("models") / "segmenter.safetensors"
    save_segmenter(build_segmenter("segformer-b0", 3, None), path, "segformer-b0", ("road", "car", "bus"))
    return path


# ---- scores ----


def test_each_agreement_is_of_the_two_that_it_names(clip: Clip) -> None:
    """Mask, seed and map are three nested blocks, so that each pair has an IoU of its own."""
    mask, seed = block(20, 40, 20, 40), block(20, 40, 20, 50)
    heat = np.where(block(20, 40, 20, 60), 2.0, 1.0).astype(np.float32)
    drawn = Raw(picture(0), heat)
    method = Fixed(Found(mask, mask & False))
    refiner = Refiner(method, clip, 0.6, OFF, 0)
    whole = refiner({0: drawn})[0]
    assert np.array_equal(whole.seed, block(20, 40, 20, 60))
    assert whole.scores["agreement"] == whole.scores["map_agreement"] == 20 / 40
    assert whole.scores["seed_map_agreement"] == 1.0
    given = refiner({0: Raw(picture(0), heat, mask=seed)})[0]
    assert (given.scores["agreement"], given.scores["map_agreement"]) == (1.0, 30 / 40)
    assert given.scores["seed_map_agreement"] == 30 / 40


def test_the_hash_is_that_of_the_isolated_object_and_turning_that_of_the_mask(clip: Clip) -> None:
    y, x = np.mgrid[:64, :64] - 32
    mask = np.hypot(x, y) < 16 + 4 * np.sin(6 * np.arctan2(y, x))
    found = Fixed(Found(mask, mask & False))
    image = picture(0)
    elsewhere = np.where(mask[..., None], image, 255 - image)
    scores = [Refiner(found, clip, 0.6, OFF, 0)({0: Raw(i, attribution(1.0))})[0].scores for i in (image, elsewhere)]
    assert scores[0]["phash"] == scores[1]["phash"] == phash(isolate(image, mask)) != phash(image)
    assert scores[0]["turning"] == turning(mask) > 0


def test_entropy_is_the_mean_over_the_mask_of_what_the_segmenter_sees(weights: Path) -> None:
    image, mask = picture(0), block(10, 30, 5, 60)
    network, _ = load_segmenter(weights)
    mean, std = (getattr(network.data_preprocessor, name) for name in ("mean", "std"))
    pixels = (torch.from_numpy(image).permute(2, 0, 1).float() - mean) / std
    with torch.no_grad():
        logits = network.encode_decode(pixels[None], [{"img_shape": (64, 64), "ori_shape": (64, 64)}])
    p = logits[0].double().softmax(0).numpy()
    expected = -(p * np.log(p)).sum(0) / np.log(3)
    certainty = Certainty(weights)
    assert certainty.entropy(image, mask) == pytest.approx(expected[mask].mean(), abs=1e-5)
    assert certainty.entropy(image, ~mask) == pytest.approx(expected[~mask].mean(), abs=1e-5)
    assert abs(expected[mask].mean() - expected[~mask].mean()) > 1e-4, "one value for all would prove nothing"
    assert certainty.entropy(image, mask & False) == 1.0


def test_the_refiner_asks_for_the_entropy_of_the_mask_and_not_of_the_seed(clip: Clip, weights: Path) -> None:
    mask, certainty = block(0, 12, 0, 64), Certainty(weights)
    found = Refiner(Fixed(Found(mask, mask & False)), clip, 0.6, OFF, 0, certainty)(
        {0: Raw(picture(0), attribution(1.0))}
    )
    assert found[0].scores["entropy"] == certainty.entropy(picture(0), mask)
    assert found[0].scores["entropy"] != certainty.entropy(picture(0), found[0].seed)


def test_the_stage_measures_entropy_where_a_segmenter_is_named(
    place: Callable[..., Path], weights: Path, sam_folder: Path, clip_folder: Path
) -> None:
    folder = place("a", method="attention", segmenter=str(weights))
    main(["bus"])
    rows = {row["uid"]: row for row in table(folder)}
    files = Shards("data/refined/bus").read("bus-000003")
    expected = Certainty(weights).entropy(png_array(files["image.png"]), png_array(files["mask.png"]) > 0)
    assert float(rows["bus-000003"]["entropy"]) == pytest.approx(expected, abs=1e-12)
    assert not rows["bus-000002"]["entropy"], "a sample with a reason has no score"
    edit_params(folder, model=str(sam_folder), clip=str(clip_folder), method="attention")
    main(["bus"])
    assert not any(row["entropy"] for row in table(folder))


# ---- doubt ----


def test_the_stage_records_the_ring_of_doubt_and_the_soft_edge(place: Callable[..., Path], sam_folder: Path) -> None:
    place("a", ring=3, choose="agreement")
    main(["bus"])
    shards, sam = Shards("data/refined/bus"), Sam(sam_folder)
    for row, files in shards:
        if row["reason"]:
            assert "doubt.png" not in files and "alpha.png" not in files
            continue
        mask, seed = (png_array(files[f"{name}.png"]) > 0 for name in ("mask", "seed"))
        pointed = png_array(files["attribution.png"]) > 0.45 * 255
        candidates = sam.ask(sam.encode([png_array(files["image.png"])])[0], prompt(seed, "cross"))
        others = [candidate for k, candidate in enumerate(candidates.masks) if k != row["candidate"]]
        differs = np.any([opinion != mask for opinion in (pointed, seed, *others)], axis=0)
        doubt, soft = png_array(files["doubt.png"]), png_array(files["alpha.png"])
        assert np.array_equal(doubt == 255, ring(mask, 3) & differs) and set(np.unique(doubt)) == {0, 255}
        votes = np.mean([mask, pointed, seed, *others], axis=0)
        assert np.array_equal(soft, np.rint(255 * np.where(ring(mask, 3), votes, mask)))


def test_a_methods_own_doubt_is_kept_without_a_ring_and_joins_one(clip: Clip) -> None:
    mask, band = block(22, 42, 14, 48), block(42, 46, 14, 48)
    raw_sample = {0: Raw(picture(0), attribution(1.0))}
    for width in (0, 2):
        refined = Refiner(Fixed(Found(mask, band)), clip, 0.45, OFF, width)(raw_sample)[0]
        assert refined.edge is not None
        opinions = [refined.attribution > 0.45, refined.seed]
        assert np.array_equal(refined.edge.doubt, doubted(mask, opinions, width) | band)
        assert np.array_equal(refined.edge.alpha, alpha(mask, opinions, width))
    assert Refiner(Fixed(Found(mask, band & False)), clip, 0.45, OFF, 0)(raw_sample)[0].edge is None


def test_self_attention_goes_from_the_recorded_maps_to_mask_and_doubt(place: Callable[..., Path]) -> None:
    """End to end, no ring asked for: cells 0 to 3 of 4 x 4 attend to one another, and the word points at cell 0."""
    folder = place("a", method="self_attention", self_attention={"power": 4, "threshold": 0.6, "uncertain": 0.2})
    own = np.eye(16, dtype=np.float32)
    own[:4, :4] = 0.25
    cross = np.zeros((4, 4), np.float32)
    cross[0, 0] = 1.0
    maps = {"self_attention.npy": npy_bytes(own), "cross_attention.npy": npy_bytes(cross)}
    files = {"image.png": png_bytes(picture(0)), "attribution.npy": npy_bytes(attribution(1.0)), **maps}
    uid, done = "bus-000000", {"rejected": ""}
    build(folder / "data/generated/bus", {uid: "s"}, lambda _: [Sample(uid, "s", done, files)], title="generate")
    main(["bus"])
    found = Shards("data/refined/bus").read(uid)
    expected = OwnAttention(4, 0.6, 0.2)({0: Drawn(picture(0), attribution(1.0), block(0, 1, 0, 1), own, cross)})[0]
    mask, doubt = png_array(found["mask.png"]) > 0, png_array(found["doubt.png"]) > 0
    assert mask[:10].all() and not mask[24:].any() and np.array_equal(mask, expected.mask)
    assert doubt.any() and np.array_equal(doubt, expected.doubt) and not (doubt & mask).any()


# ---- what never raises, and what is a sentence ----


@pytest.mark.parametrize("taken", [0, 1, 2])
def test_the_opinions_are_the_candidates_that_were_not_taken(clip: Clip, taken: int) -> None:
    """Map and seed see what the mask sees; each other candidate sees one row more, on another side."""
    mask = block(22, 42, 14, 48)
    seen = [block(21, 42, 14, 48), block(22, 43, 14, 48), block(22, 42, 13, 48)]
    seen[taken] = mask
    candidates = Candidates(np.where(seen, 5.0, -5.0).astype(np.float32), np.ones(3, np.float32))
    heat = np.where(mask, 1.0, 0.0).astype(np.float32)
    found = Fixed(Found(mask, mask & False, candidates, taken))
    edge = Refiner(found, clip, 0.5, OFF, 1)({0: Raw(picture(0), heat)})[0].edge
    assert edge is not None
    assert np.array_equal(edge.doubt, np.any(seen, axis=0) & ~mask)
    assert set(np.unique(edge.alpha)) == {0, 51, 255}, "mask, map, seed and two others: one in five sees the row"


def test_a_crfs_seed_and_the_map_below_it_disagree_and_an_imported_mask_with_nothing(clip: Clip) -> None:
    """Method attention has no candidates: what the CRF moved is its doubt. An imported mask is its own map and seed."""
    refiner = Refiner(Attention(), clip, 0.45, CRF, 3)
    mask = block(10, 30, 12, 40)
    found = refiner({0: Raw(picture(0), attribution(1.0)), 1: Raw(picture(0), mask.astype(np.float32), mask=mask)})
    moved = found[0].mask != (attribution(1.0) > 0.45)
    assert found[0].edge is not None and moved.any()
    assert np.array_equal(found[0].edge.doubt, ring(found[0].mask, 3) & moved)
    assert found[1].edge is not None and not found[1].edge.doubt.any()


@pytest.mark.parametrize("style", STYLES)
def test_a_full_seed_and_mask_never_raise(sam_folder: Path, clip: Clip, style: str) -> None:
    sam = Sam(sam_folder)
    method = Prompted(sam, style, 2, "predicted_iou", 2, OFF, 1)
    everywhere = {0: Raw(picture(0), np.ones((64, 64), np.float32))}
    refined = Refiner(method, clip, 0.45, OFF, 2)(everywhere)[0]
    assert refined.seed.all() and (refined.reason == "empty_mask" or np.isfinite(float(refined.scores["area"])))
    full = Refiner(Attention(), clip, 0.45, OFF, 2)(everywhere)[0]
    assert full.mask.all() and full.scores["area"] == 1.0 and full.edge is not None and not full.edge.doubt.any()
    numbers = [value for value in full.scores.values() if not isinstance(value, str)]
    assert np.isfinite(numbers).all()


@pytest.mark.parametrize("what", ["map", "mask"])
def test_a_map_or_a_published_mask_of_another_size_is_a_sentence(what: str) -> None:
    small = np.ones((64, 32), np.float32)
    files = {"image.png": png_bytes(picture(0)), "attribution.npy": npy_bytes(small)}
    if what == "mask":
        files["mask.png"] = png_bytes(small.astype(np.uint8))
    sentence = rf"data/generated/bus: the {what} of bus-000007 has the size \(64, 32\), its image \(64, 64\); other"
    with pytest.raises(GraftError, match=sentence):
        raw(Path("data/generated/bus"), "bus-000007", files, "")


def test_a_damaged_shard_is_one_sentence(place: Callable[..., Path], capsys: pytest.CaptureFixture[str]) -> None:
    folder = place("a")
    shard = next((folder / "data/generated/bus").glob("*.tar"))
    shard.write_bytes(shard.read_bytes()[:700])
    capsys.readouterr()
    with pytest.raises(SystemExit):
        main(["bus"])
    error = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(error) == 1 and "is missing or damaged; run " in error[0]
