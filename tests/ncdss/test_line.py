"""The stages one after the other at tiny size: what each leaves, and that a run which was stopped goes on the same."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stages.ncdss import base, basic, cluster, eums, evaluate, rank, regions, summary, training
from stages.parts.learning import fit as fitting
from stages.parts.learning.hooks import Checkpoint
from stages.parts.store.pictures import png_array
from stages.parts.store.shards import Shards
from tests.ncdss.conftest import COUNTS, edit, settings

Fails = Callable[..., str]


@pytest.fixture
def root(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quiet: None) -> Path:
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="session")
def finished(made: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The whole line, run once."""
    root = tmp_path_factory.mktemp("line")
    shutil.copytree(made, root, dirs_exist_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        base.main([])
        regions.main([])
        cluster.main([])
        for row in ("exact", "overclustered", "named", "cutouts", "both"):
            basic.main([row, "0"])
        for row in ("exact", "both"):
            rank.main([row, "0"])
            eums.main([row, "0"])
        evaluate.main([])
        summary.main([])
    return root


@pytest.fixture
def line(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quiet: None) -> Path:
    """The line as it was left, to go on with."""
    shutil.copytree(finished, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def fails(capsys: pytest.CaptureFixture[str]) -> Fails:
    def said(main: Any, *argv: str) -> str:
        capsys.readouterr()
        with pytest.raises(SystemExit) as stopped:
            main(list(argv))
        error = capsys.readouterr().err.strip().splitlines()[-1]
        assert stopped.value.code == 2 and error.startswith("error: "), error
        return error

    return said


def test_the_summary_has_every_row_with_its_three_means(line: Path) -> None:
    told = json.loads(Path("metrics/ncdss/summary.json").read_text())
    rows = ["basic", "basic_overclustered", "basic_overclustered_one_to_one", "basic_named", "cutouts", "basic_both"]
    assert [name for name in told if name not in ("preset", "shares")] == [*rows, "eums", "both"]
    assert told["preset"] == "clean"
    for name in (*rows, "eums", "both"):
        for measure in ("novel_mIoU", "base_mIoU", "mIoU"):
            assert 0 <= told[name][measure]["mean"] <= 100 and told[name][measure]["std"] == 0
    assert told["basic_overclustered"]["base_mIoU"] == told["basic_overclustered_one_to_one"]["base_mIoU"]
    assert {path.name for path in Path("data/ncdss/report").iterdir()} == {
        "index.html", "regions.png", "clusters.png", "predictions.png",
    }  # fmt: skip


def test_a_region_is_salient_and_never_where_the_label_says_base(line: Path) -> None:
    found = Shards("data/ncdss/regions")
    assert sum(row["regions"] for row in found.rows) > 4
    for row, files in found:
        label, numbers = png_array(files["label.png"]), png_array(files["regions.png"])
        assert numbers.max() == row["regions"] and not label[numbers > 0].any()


def test_every_region_is_in_a_cluster_of_each_partition(line: Path) -> None:
    table = list(csv.DictReader(Path("data/ncdss/clusters.csv").read_text().splitlines()))
    about = json.loads(Path("data/ncdss/clusters.json").read_text())
    counted = {row["uid"]: row["regions"] for row in Shards("data/ncdss/regions").rows if row["regions"]}
    for uid, count in counted.items():
        assert [int(row["region"]) for row in table if row["uid"] == uid] == list(range(1, count + 1))
    for name, clusters in (("exact", 3), ("overclustered", 4), ("named", 4)):
        assert {int(row[name]) for row in table} == set(range(clusters))
        assert set(about[name]["names"]) <= {"truck", "bus", "train"}


def test_named_outputs_are_classes_and_others_clusters(line: Path) -> None:
    names = {row: training.pseudo_labels(settings(), row)[0] for row in ("exact", "overclustered", "named", "both")}
    assert names["exact"][:4] == ("background", "car", "person", "motorcycle")
    assert names["exact"][4:] == ("cluster 0", "cluster 1", "cluster 2") and len(names["overclustered"]) == 8
    assert names["named"] == names["both"] == (*names["exact"][:4], "truck", "bus", "train")


def test_a_pseudo_label_holds_what_regions_and_clusters_say(line: Path) -> None:
    _, labels = training.pseudo_labels(settings(), "overclustered")
    assert labels is not None
    table = {
        (row["uid"], int(row["region"])): int(row["overclustered"])
        for row in csv.DictReader(Path("data/ncdss/clusters.csv").read_text().splitlines())
    }
    for row, files in Shards("data/ncdss/regions"):
        if row["regions"]:
            label, numbers = labels.of(row["uid"]), png_array(files["regions.png"])
            for k in range(1, row["regions"] + 1):
                assert set(label[numbers == k]) == {4 + table[row["uid"], k]}
            assert np.array_equal(label[numbers == 0], png_array(files["label.png"])[numbers == 0])


def test_the_clean_pictures_are_the_share_that_is_asked_for(line: Path) -> None:
    table = list(csv.DictReader(Path("data/ncdss/ranked/exact-0.csv").read_text().splitlines()))
    clean = [float(row["score"]) for row in table if row["clean"] == "1"]
    others = [float(row["score"]) for row in table if row["clean"] == "0"]
    assert len(clean) == int(0.67 * len(table)) and max(clean) <= min(others)


def test_every_labelled_pixel_is_counted_once(line: Path) -> None:
    counts = json.loads(Path("data/ncdss/evaluated/eums-exact-0.json").read_text())["counts"]
    for split in ("val", "test"):
        labels = [png_array(files["label.png"]) for _, files in Shards(f"data/photos/{split}")]
        assert len(labels) == COUNTS[split]
        assert np.sum(counts[split]) == sum(int((label != 255).sum()) for label in labels)


def test_a_run_again_writes_the_same_bytes_and_evaluates_nothing_twice(line: Path) -> None:
    paths = [Path("models/ncdss/eums/both-0.safetensors"), Path("models/ncdss/basic/exact-0.safetensors")]
    before = [path.read_bytes() for path in paths]
    basic.main(["exact", "0"])
    eums.main(["both", "0"])
    assert [path.read_bytes() for path in paths] == before
    evaluated = Path("data/ncdss/evaluated/eums-both-0.json")
    marked = json.loads(evaluated.read_text()) | {"preset": "marked"}
    evaluated.write_text(json.dumps(marked))
    evaluate.main([])
    assert json.loads(evaluated.read_text())["preset"] == "marked"  # of the same weights: kept
    edit(line, lambda ncdss: ncdss["evaluate"].update(match_on="test"))
    evaluate.main([])
    assert json.loads(evaluated.read_text())["preset"] == "clean"


class _Stop(Exception):
    pass


def test_a_training_that_was_stopped_after_the_reassignment_goes_on_to_the_same_bytes(
    line: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = Path("models/ncdss/eums/exact-0.safetensors")
    whole = weights.read_bytes()
    weights.unlink()
    monkeypatch.setattr(fitting, "CHECKPOINT_INTERVAL", 4)  # reassigned before iteration 3, saved after 4
    after = Checkpoint.after_train_iter

    def stop(self: Checkpoint, runner: Any, *args: Any, **kwargs: Any) -> None:
        after(self, runner, *args, **kwargs)
        if runner.iter == 3:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Checkpoint, "after_train_iter", stop)
        with pytest.raises(SystemExit) as stopped:
            eums.main(["exact", "0"])
    assert stopped.value.code == 130 and not weights.exists()
    eums.main(["exact", "0"])
    assert weights.read_bytes() == whole


def test_the_published_preset_runs_the_line_at_its_own_rules(root: Path) -> None:
    """One region for a picture, pooled features, halved losses, a noisy teacher, all from nothing, stretched."""
    from stages.ncdss.preset import VALUES

    def published(ncdss: dict[str, Any]) -> None:
        for name, values in VALUES["parity"].items():
            ncdss[name] = {**ncdss[name], **values} if isinstance(values, dict) else values
        ncdss["rows"] = {"basic": ["exact"], "eums": ["exact"]}
        ncdss["data"]["size"] = [48, 48]
        ncdss["network"]["name"] = "unet"
        ncdss["learning"].update(batch=2, epoch=1, milestone=1, lr=1e-3)
        ncdss["regions"].update(min_pixels=8)
        ncdss["cluster"].update(dimensions=4, overclustered=4, named=4)
        for stage, count in (("base", 2), ("basic", 2), ("eums", 3)):
            ncdss[stage]["iterations"] = count
        ncdss["eums"].update(reassign=2)

    edit(root, published)
    base.main([])
    regions.main([])
    cluster.main([])
    basic.main(["exact", "0"])
    rank.main(["exact", "0"])
    eums.main(["exact", "0"])
    evaluate.main([])
    assert max(row["regions"] for row in Shards("data/ncdss/regions").rows) == 1
    result = json.loads(Path("data/ncdss/evaluated/eums-exact-0.json").read_text())
    assert result["preset"] == "parity" and np.sum(result["counts"]["test"]) > 0


def test_maps_that_lack_a_picture_are_counted_and_named(line: Path, capsys: pytest.CaptureFixture[str]) -> None:
    gone = sorted(row["uid"] for row in Shards("data/ncdss/regions").rows)[:2]
    for uid in gone:
        Path("maps", f"{uid}.png").unlink()
    regions.main([])
    told = json.loads(Path("data/ncdss/regions.json").read_text())
    assert told["without_saliency"] == 2 and told["lacking"] == gone
    assert f"2 pictures have no saliency map and are left out: {gone[0]}, {gone[1]}" in capsys.readouterr().err


def test_what_cannot_be_run_is_one_sentence(line: Path, fails: Fails) -> None:
    edit(line, lambda ncdss: ncdss["cluster"].update(named=400))
    assert "ncdss.cluster asks for 400 clusters, but there are" in fails(cluster.main)
    edit(line, lambda ncdss: ncdss["cluster"].update(named=4, dimensions=100))
    assert "ncdss.cluster.dimensions is 100, but there are" in fails(cluster.main)
    edit(line, lambda ncdss: ncdss["cluster"].update(dimensions=4))
    edit(line, lambda ncdss: ncdss["data"].update(novel=["truck", "bus", "train", "person"]))
    assert "has no cutout of the novel class person; generate it" in fails(cluster.main)
    assert "has no cutout of the novel class person; generate it" in fails(basic.main, "cutouts", "0")
    edit(line, lambda ncdss: ncdss["data"].update(novel=["truck"], fold="voc-8"))
    assert "there is no fold 'voc-8'" in fails(base.main)
    edit(line, lambda ncdss: ncdss["data"].update(fold=None, novel=["truck", "unicorn"]))
    assert "ncdss.data: novel: " in fails(base.main)
    edit(line, lambda ncdss: ncdss["data"].update(novel=["truck", "truck"]))
    assert "names truck twice" in fails(base.main)
    edit(line, lambda ncdss: ncdss["data"].update(novel=["truck", "bus", "train"]))
    edit(line, lambda ncdss: ncdss["rank"].update(share=1.0))
    rank.main(["exact", "0"])
    assert "set ncdss.rank.share so that there are some of both" in fails(eums.main, "exact", "0")
    edit(line, lambda ncdss: ncdss["regions"].update(saliency="nowhere"))
    assert "ncdss.regions.saliency: there is no nowhere" in fails(regions.main)
    edit(line, lambda ncdss: ncdss["rows"].update(eums=["exact", "overclustered"], basic=["exact"]))
    assert "eums overclustered starts from basic overclustered; add it to rows.basic" in fails(base.main)
