"""The stages one after the other, on a small world of their own: what they write, and that a killed run goes on."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from stages.parts.store.samples import Shards, png_array
from stages.primaps import evaluate, fit, initialise, propose, summary
from stages.primaps.training import ExpectationMaximisation
from tests.primaps.conftest import change

MODELS, PROPOSALS = Path("models/primaps/streets"), Path("data/primaps/proposals/streets")
ROWS = {"baseline", "baseline_crf", "em", "em_crf", "em_student", "em_best", "probe", "ceiling"}


def bytes_below(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def stop(capsys: pytest.CaptureFixture[str], main: object, *argv: str) -> str:
    """The sentence that a command ends with."""
    with pytest.raises(SystemExit) as stopped:
        main(list(argv))  # type: ignore[operator]
    assert stopped.value.code == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith("error: ")
    return said


def test_the_whole_line(world: Path, capsys: pytest.CaptureFixture[str]) -> None:
    propose.main(["streets"])
    labels = {row["uid"]: png_array(files["proposals.png"]) for row, files in Shards(PROPOSALS)}
    assert len(labels) == 14 and {label.shape for label in labels.values()} == {(32, 64)}
    for row in Shards(PROPOSALS).rows:
        ids = set(np.unique(labels[row["uid"]]).tolist()) - {255}
        assert len(ids) == row["proposals"] > 0 and 0 not in ids
    for seed in ("0", "1"):
        initialise.main(["streets", seed])
        fit.main(["streets", seed])
    evaluate.main(["streets"])
    start, fitted = load_file(MODELS / "0-start.safetensors"), load_file(MODELS / "0.safetensors")
    assert start["v"].shape == (12, 16) and np.linalg.norm(start["v"], axis=1) == pytest.approx(np.ones(12), abs=1e-5)
    assert set(fitted) == {"mean"} | {f"{head}.{part}" for head in ("student", "teacher", "best") for part in "vg"}
    assert not np.array_equal(fitted["student.v"], fitted["teacher.v"])
    with open("data/primaps/fitted/streets-0.csv") as file:
        checks = list(csv.DictReader(file))
    assert [row["step"] for row in checks] == ["2", "4", "6", "8"]
    summary.main([])
    summed = json.loads(Path("metrics/primaps/summary.json").read_text())
    assert summed.keys() == {"streets"} and summed["streets"].keys() == ROWS
    runs = list(json.loads(Path("metrics/primaps/sets/streets.json").read_text())["test"].values())
    for name in ROWS:
        values = [run[name]["mIoU"] for run in runs]
        assert summed["streets"][name]["mIoU"]["mean"] == pytest.approx(np.mean(values), abs=0.01)
        assert summed["streets"][name]["mIoU"]["std"] == pytest.approx(np.std(values, ddof=1), abs=0.01)
        assert all(0 <= run[name][score] <= 100 for run in runs for score in ("mIoU", "Acc"))
    assert "| streets | em |" in capsys.readouterr().out


def test_propose_resumes_to_the_same_bytes_and_keeps_what_is_there(
    world: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    propose.main(["streets"])
    whole = bytes_below(PROPOSALS)
    propose.main(["streets"])
    assert "kept 14, made 0" in capsys.readouterr().out and bytes_below(PROPOSALS) == whole
    for path in PROPOSALS.iterdir():
        path.unlink()
    real, calls = propose.label_maps, []

    def killed(*arguments: object) -> object:
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return real(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(propose, "label_maps", killed)
    with pytest.raises(SystemExit):
        propose.main(["streets"])
    monkeypatch.setattr(propose, "label_maps", real)
    propose.main(["streets"])
    assert bytes_below(PROPOSALS) == whole


@pytest.mark.parametrize("views", [2, None])
def test_a_killed_fit_goes_on_to_the_same_weights(
    world: Path, monkeypatch: pytest.MonkeyPatch, views: int | None
) -> None:
    for key, value in (("views", views), ("flip", 0.5), ("blur_probability", 0.5), ("grey_probability", 0.5)):
        change(world, f"fit.{key}", value)
    propose.main(["streets"])
    initialise.main(["streets", "0"])
    fit.main(["streets", "0"])
    whole = (MODELS / "0.safetensors").read_bytes(), Path("data/primaps/fitted/streets-0.csv").read_bytes()
    assert list(Path("data/.work").iterdir()) == []
    real = ExpectationMaximisation._loss

    def killed(self: ExpectationMaximisation, *arguments: object) -> object:
        if self.step == 5:
            raise KeyboardInterrupt
        return real(self, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(ExpectationMaximisation, "_loss", killed)
    with pytest.raises(SystemExit):
        fit.main(["streets", "0"])
    assert len(list(Path("data/.work").iterdir())) == 1
    monkeypatch.setattr(ExpectationMaximisation, "_loss", real)
    fit.main(["streets", "0"])
    again = (MODELS / "0.safetensors").read_bytes(), Path("data/primaps/fitted/streets-0.csv").read_bytes()
    assert again == whole


def test_no_label_of_learn_is_read(world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same weights whether val's pictures, labels and all, are learned from as `learn`, or without their labels."""
    change(world, "datasets.streets.learn", "data/scenes/val")
    initialise.main(["streets", "0"])
    labelled = (MODELS / "0-start.safetensors").read_bytes()
    from stages.parts.datasets import splits

    class Blind(splits.PhotoShards):
        def read(self, uid: str) -> dict[str, bytes]:
            return {name: content for name, content in super().read(uid).items() if name != "label.png"}

    monkeypatch.setattr(splits, "PhotoShards", Blind)
    initialise.main(["streets", "0"])
    assert (MODELS / "0-start.safetensors").read_bytes() == labelled


def test_what_is_wrong_is_one_sentence(world: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "there is no 'moon'; take one of streets, photos" in stop(capsys, propose.main, "moon")
    assert "metrics/primaps/sets/streets.json has no seed 0; run `python -m stages.primaps.evaluate streets`" in stop(
        capsys, summary.main
    )
    change(world, "datasets.streets.clusters", 3)
    propose.main(["streets"])
    initialise.main(["streets", "0"])
    assert "primaps.datasets.streets.clusters: 3 prototypes cannot be matched" in stop(capsys, fit.main, "streets", "0")
    change(world, "size.shortest", 30)
    assert "cannot be cut into the patches of 4 pixels" in stop(capsys, initialise.main, "streets", "0")
    change(world, "datasets.streets.test", {"images": "data/nowhere", "labels": "data/nowhere", "ids": "cityscapes"})
    assert "primaps.datasets.streets.test: data/nowhere: no such folder" in stop(capsys, propose.main, "streets")
    change(world, "datasets.streets.test", {"images": "data"})
    assert "primaps.datasets.streets.test: needs labels and ids" in stop(capsys, propose.main, "streets")
    change(world, "backbone", "nowhere")
    assert "params.yaml primaps.backbone: 'nowhere' is neither a folder here nor" in stop(
        capsys, initialise.main, "streets", "0"
    )
