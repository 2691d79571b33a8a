"""What the three trainings of the line share: the sets that a cell learns from, the start, and the run."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmcv.transforms import BaseTransform
from mmengine.hooks import Hook
from mmseg.models import EncoderDecoder

from stages.ncdss.params import Data, Learning, Ncdss, Network
from stages.parts.datasets.label_spaces import label_space
from stages.parts.datasets.photo_shards import PhotoShards
from stages.parts.discovery import schedule, splits
from stages.parts.discovery.networks import (
    build_network,
    encoder_of,
    load_network,
    load_pretrained,
    save_network,
    start_from,
)
from stages.parts.discovery.selftraining import Amounts, ClassDiscovery
from stages.parts.discovery.views import Geometry, PseudoLabel, Remap
from stages.parts.errors import GraftError
from stages.parts.learning.branches import Branch, BranchedDataset
from stages.parts.learning.fit import fit, make_deterministic, work_folder
from stages.parts.learning.transforms import Flip, ResizeTo
from stages.parts.pasting.composite import Edge
from stages.parts.pasting.paste import Cutouts, PasteCutouts
from stages.parts.pasting.place import Scale
from stages.parts.store.atomic import write_csv
from stages.parts.store.fingerprint import fingerprint
from stages.parts.store.keys import file_hash, key
from stages.parts.store.shards import INDEX, Shards

BASE = Path("models/ncdss/base.safetensors")
REGIONS = Path("data/ncdss/regions")
TABLE, ABOUT = Path("data/ncdss/clusters.csv"), Path("data/ncdss/clusters.json")
HALF = 0.5  # probability of mirroring
OF = {"long": "exact", "both": "named"}  # rows that use another's clusters


def parts_of(data: Data) -> splits.Discovery:
    return splits.discovery(label_space(data.labels), data.novel, data.fold)


def views(data: Data, learning: Learning) -> list[BaseTransform]:
    """The published geometry: flip, affine, and the size of the batch."""
    resized = [ResizeTo(data.size[0], data.size[1])] if data.size else []
    return [*resized, Geometry(learning.degrees, learning.zoom, learning.border), Flip(HALF)]


def labelled(ncdss: Ncdss, uids: Sequence[str], pasted: bool = False, truth: bool = False) -> Branch:
    """Pictures with their true labels; novel pixels are background unless `truth`; with pasted cutouts if told."""
    parts = parts_of(ncdss.data)
    first: list[BaseTransform] = [Remap(parts.remap(keep_novel=truth))]
    if pasted:
        first.append(pasting(ncdss, parts))
    pipeline = [*first, *views(ncdss.data, ncdss.learning)]
    return Branch(splits.Chosen(Path(ncdss.data.photos, "train"), uids), pipeline, parts.space)


def pseudo_labelled(ncdss: Ncdss, uids: Sequence[str], labels: PseudoLabel) -> Branch:
    """Pictures whose labels are never opened: base model and clusters say what they show."""
    pipeline = [labels, *views(ncdss.data, ncdss.learning)]
    return Branch(splits.Chosen(Path(ncdss.data.photos, "train"), uids), pipeline)


def unlabelled(ncdss: Ncdss, uids: Sequence[str]) -> Branch:
    return Branch(splits.Chosen(Path(ncdss.data.photos, "train"), uids), views(ncdss.data, ncdss.learning))


def pasting(ncdss: Ncdss, parts: splits.Discovery) -> PasteCutouts:
    """The root line's cutouts, pasted anywhere. GraftError for a novel class that has none."""
    bank = prior(ncdss, parts)
    ids = {parts.names.index(name): Cutouts(bank, name) for name in parts.novel}
    paste = ncdss.paste
    scale = Scale("area", paste.min_area, paste.max_area)
    edge = Edge("hard", ring=paste.ring)
    return PasteCutouts(
        ids, paste.probability, "image", paste.max_instances, scale, "anywhere", HALF, edge=edge, labels=parts.space
    )


def prior(ncdss: Ncdss, parts: splits.Discovery) -> Shards:
    """The root line's cutouts. GraftError for a novel class without one: no cluster could ever have its name."""
    assert ncdss.paste.cutouts is not None  # params.py sees to it
    bank = Shards(ncdss.paste.cutouts).verify()
    there = {row["class"] for row in bank.rows}
    if lacking := [name for name in parts.novel if name not in there]:
        raise GraftError(
            f"{bank.folder} has no cutout of the novel class {lacking[0]}; generate it (classes), or take rows "
            "cutouts, named and both out of ncdss.rows"
        )
    return bank


def start(network: Network, outputs: int, seed: int, base: Path | None) -> EncoderDecoder:
    """A network of so many outputs: from the base model's weights, the pretrained encoder's, or nothing."""
    make_deterministic(seed)
    student = build_network(network.name, outputs)
    student.init_weights()
    if base is not None:
        start_from(student, load_network(base)[0])
    elif network.encoder is not None:
        load_pretrained(student, network.encoder)
    return student


def run(
    ncdss: Ncdss,
    threads: int,
    *,
    title: str,
    section: str,
    seed: int,
    iterations: int,
    student: EncoderDecoder,
    branches: Mapping[str, Branch],
    classes: Sequence[str],
    out: Path,
    inputs: Sequence[Path | str],
    hooks: Sequence[Hook] = (),
    dataset: BranchedDataset | None = None,
    **about: Any,
) -> None:
    """Train the student on the branches, and write OUT.safetensors and OUT.csv, the losses of every tenth iteration.

    about: what ClassDiscovery is told beside. inputs: files and folders that the checkpoint's key is made of, beside
    the params and the code. The last weights are always written: none is chosen by a score."""
    learning = ncdss.learning
    made_of = key(
        title=title,
        params=ncdss.model_dump(exclude={"seeds", "rows", "evaluate", "preset"}),
        threads=threads,
        inputs=[file_hash(path) for path in inputs],
        code=fingerprint("stages.ncdss.eums"),
    )
    work = work_folder(title, made_of)
    model = about.pop("model", None) or ClassDiscovery(
        student, halve=learning.halve, weak=Amounts(learning.jitter, learning.hue)
    )
    encoder = encoder_of(student)
    curve = fit(
        model,
        dataset or BranchedDataset(branches, iterations * learning.batch, seed),
        seed=seed,
        iterations=iterations,
        batch=learning.batch,
        optimiser=schedule.optimiser(
            student,
            encoder,
            learning.optimiser,
            learning.lr,
            learning.encoder_lr,
            learning.weight_decay,
            learning.clip,
        ),
        schedule=schedule.learning_rate(iterations, learning.power, learning.epoch, learning.milestone),
        hooks=hooks,
        work=work,
        section=section,
    )
    save_network(student, out.with_suffix(".safetensors"), ncdss.network.name, classes, ncdss.network.encoder)
    rows = ([f"{value:.5g}" for value in row.values()] for row in curve[::10])
    write_csv(out.with_suffix(".csv"), curve[0], rows)
    shutil.rmtree(work.parent)


def parts_and_pictures(data: Data) -> tuple[splits.Discovery, splits.Pictures]:
    """The classes in their two parts, and which pictures of the training set are whose."""
    parts = parts_of(data)
    return parts, splits.pictures_of(PhotoShards(Path(data.photos, "train")), parts)


def pseudo_labels(ncdss: Ncdss, row: str) -> tuple[tuple[str, ...], PseudoLabel | None]:
    """The names of a row's outputs, and the pseudo-labels of its pictures; None for a row without clusters.

    Clusters that the cutouts name have the ids of their classes, others ids of their own: B + 1 + k."""
    parts = parts_of(ncdss.data)
    if row in ("cutouts", "supervised"):
        return parts.names, None
    about, name = json.loads(ABOUT.read_text()), OF.get(row, row)
    base, said = 1 + len(parts.base), about[name]
    if name == "named":
        if said["names"] is None:
            raise GraftError(f"{ABOUT}: its clusters have no names; run `python -m stages.ncdss.cluster` again")
        ids, outputs = [parts.names.index(each) for each in said["names"]], parts.names
    else:
        ids = [base + k for k in range(said["clusters"])]
        outputs = (*parts.names[:base], *(f"cluster {k}" for k in range(said["clusters"])))
    classes: dict[str, dict[int, int]] = {}
    for line in csv.DictReader(TABLE.read_text().splitlines()):
        classes.setdefault(line["uid"], {})[int(line["region"])] = ids[int(line[name])]
    return outputs, PseudoLabel(Shards(REGIONS), classes)


def inputs_of(ncdss: Ncdss, row: str) -> list[Path | str]:
    """What a training of this row depends on."""
    clusters = [] if row in ("cutouts", "supervised") else [index_of(REGIONS), TABLE, ABOUT]
    bank = [index_of(ncdss.paste.cutouts)] if ncdss.paste.cutouts and row in ("cutouts", "both") else []
    return [index_of(Path(ncdss.data.photos, "train")), BASE, *clusters, *bank]


def index_of(folder: Path | str) -> Path:
    return Path(folder, INDEX)
