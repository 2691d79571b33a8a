"""What a user can mend is one sentence, before any work where it can be known then."""

from __future__ import annotations

import resource
import shutil
from pathlib import Path

import numpy as np
import pytest

from stages.parts.datasets.labels import LABELS, LabelSpace
from stages.parts.errors import GraftError
from stages.parts.sections import read
from stages.parts.store.samples import Shards, png_bytes
from stages.preflight import Params
from stages.train import setup
from stages.train.__main__ import main
from stages.train.labelled import labelled
from stages.train.training import training_key
from tests.train.conftest import edit_params, encoder_of_a_unet, fails, write, write_scenes

pytestmark = pytest.mark.usefixtures("root")
REPO = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        ("missing", "train.encoder: there is no encoder/model.safetensors"),
        ("cut short", "encoder/model.safetensors is damaged"),
        ("of another network", "is not the encoder of train.model; set train.encoder to null"),
    ],
)
def test_a_bad_encoder_is_one_sentence(root: Path, capsys: pytest.CaptureFixture, damage: str, says: str):
    encoder_of_a_unet(root / "encoder")
    path = root / "encoder/model.safetensors"
    if damage == "missing":
        path.unlink()
    elif damage == "cut short":
        path.write_bytes(path.read_bytes()[:1000])
    else:
        edit_params(root, lambda params: params["train"].update(model="segformer-b0"))
    edit_params(root, lambda params: params["train"].update(encoder="encoder"))
    assert says in fails(capsys, "baseline", "0")


def test_a_method_that_lacks_what_it_needs_is_one_sentence(root: Path, capsys: pytest.CaptureFixture):
    edit_params(root, lambda params: params["train"].update(method="supervised"))
    assert "run `python -m stages.scenes oracle`" in fails(capsys, "grafted", "0")
    write_scenes(root, "oracle", 5, labelled=False)
    assert "has no label.png" in fails(capsys, "grafted", "0")
    edit_params(root, lambda params: params["train"].update(method="daformer"))
    assert "train.encoder, which is null" in fails(capsys, "grafted", "0")
    edit_params(root, lambda params: params["train"].update(method="hrda", detail={"size": [64, 64], "weight": 0.1}))
    assert "larger than the images of 32 x 64" in fails(capsys, "grafted", "0")


def test_a_published_size_for_small_scenes_is_one_sentence(root: Path, capsys: pytest.CaptureFixture):
    edit_params(root, lambda params: params["train"].update(target_size=[136, 256], source_size=[136, 256]))
    assert "[136, 256] is more than 4 times as large as images of data/scenes/source" in fails(capsys, "grafted", "0")
    sides = Shards("data/scenes/source"), Shards("data/scenes/target")
    edit_params(root, lambda params: params["train"].update(target_size=[128, 256], source_size=[128, 256]))
    setup.check(read(Params).train, *sides)


@pytest.mark.parametrize("workers", ["0", "1"])
def test_a_bad_sample_is_one_sentence_whoever_loads_it(root: Path, capsys: pytest.CaptureFixture, workers: str):
    files = {uid: dict(each) for (row, each) in Shards("data/scenes/source") for uid in [row["uid"]]}
    files["source-000003"]["label.png"] = png_bytes(np.full((32, 64), 77, np.uint8))
    rows = {uid: {"height": 32, "width": 64} for uid in files}
    shutil.rmtree(root / "data/scenes/source")
    write(root / "data/scenes/source", files, rows)
    with pytest.raises(SystemExit):
        main(["baseline", "0", "--workers", workers])
    said = capsys.readouterr().err.strip()
    message = said[said.index("error: ") :]
    assert message.startswith("error: data/scenes/source: sample source-000003: the label holds the id 77")
    assert "\n" not in message


def test_errors_are_sentences(root: Path, capsys: pytest.CaptureFixture):
    assert "data/cutouts/nope/index.jsonl" in fails(capsys, "nope", "0")
    assert "seed" in fails(capsys, "grafted", "-1")
    write_scenes(root, "target", 0, labelled=False)
    assert "data/scenes/target holds no image" in fails(capsys, "grafted", "0")


def test_a_loss_that_explodes_is_a_sentence(root: Path, capsys: pytest.CaptureFixture):
    edit_params(root, lambda params: params["train"].update(lr=1e30, warmup=0, iterations=6))
    assert "train.lr" in fails(capsys, "grafted", "0")
    assert not Path("models").exists()


def test_a_margin_that_leaves_nothing_is_one_sentence(root: Path, capsys: pytest.CaptureFixture):
    edit_params(root, lambda params: params["train"].update(margin=[12, 20, 0, 0]))
    assert "train.margin [12, 20, 0, 0] leaves no pixel of 32 x 64" in fails(capsys, "grafted", "0")
    edit_params(root, lambda params: params["train"].update(margin=[0, 0, 32, 32], margin_of="image", crop=[32, 32]))
    assert "leaves no pixel of 32 x 64" in fails(capsys, "grafted", "0")


def test_an_oracle_of_another_target_is_one_sentence(root: Path):
    write_scenes(root, "oracle", 5, labelled=True)
    assert len(labelled("supervised")) == 5
    write_scenes(root, "target", 4, labelled=False)
    with pytest.raises(GraftError, match="other images than data/scenes/target, which was made anew; run `python -m"):
        labelled("supervised")
    write_scenes(root, "oracle", 4, labelled=True)
    assert len(labelled("supervised")) == 4
    files = {f"target-{k:06d}": {"image.png": png_bytes(np.full((32, 64, 3), k, np.uint8))} for k in range(4)}
    shutil.rmtree(root / "data/scenes/target")
    write(root / "data/scenes/target", files, {uid: {"height": 32, "width": 64} for uid in files})
    with pytest.raises(GraftError, match="other images"):
        labelled("supervised")


def test_a_full_disk_is_one_sentence_and_leaves_no_half_file(
    root: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("stages.parts.learning.fit.CHECKPOINT_INTERVAL", 2)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        said = fails(capsys, "grafted", "0")
        monkeypatch.setattr("stages.parts.learning.fit.CHECKPOINT_INTERVAL", 100)
        saved = fails(capsys, "grafted", "0")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert "checkpoint.pth: no space left on the disk or over quota" in said
    assert "grafted-0.safetensors: no space left" in saved
    assert not [*Path("data/.work").rglob("*.pth"), *Path("models").rglob("*.*")]


def test_another_number_of_classes_is_another_training(root: Path, monkeypatch: pytest.MonkeyPatch):
    def key() -> str:
        return training_key(read(Params).train, 1, None, Shards("data/scenes/source"))

    before = key()
    assert key() == before
    tram = LabelSpace("with a tram", (*LABELS.table, ("tram", (0, 120, 200))))
    monkeypatch.setattr("stages.train.training.LABELS", tram)
    assert key() != before
