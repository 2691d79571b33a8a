"""One round of training: from the labelled sets to a network that predicts; and what it makes of its own drawings."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.optim import OptimWrapper
from mmseg.models import EncoderDecoder
from numpy.typing import NDArray
from safetensors import torch as tensors
from torch import Tensor
from torch.optim import AdamW
from tqdm import tqdm

from stages.dataset_diffusion.augmentation import cut_out, pipeline
from stages.dataset_diffusion.params import Train
from stages.parts.datasets.joined import Joined
from stages.parts.datasets.labels import LabelSpace
from stages.parts.datasets.photo_shards import PhotoShards
from stages.parts.errors import GraftError
from stages.parts.learning.branches import Branch, BranchedDataset, read_label
from stages.parts.learning.fit import fit, make_deterministic
from stages.parts.learning.hooks import Curve, MeanTeacher
from stages.parts.learning.optimisation import adamw
from stages.parts.learning.teacher import TeacherStudent
from stages.parts.segmenter.further import build_network, load_encoder
from stages.parts.segmenter.predict import predict
from stages.parts.store.atomic import write_whole
from stages.parts.store.fingerprint import fingerprint
from stages.parts.store.keys import file_hash, key
from stages.parts.store.samples import png_array, png_bytes
from stages.parts.store.shards import INDEX

SECTION = "dataset_diffusion.train"
DONE = "done.safetensors"  # of a finished round: what a run killed in the second goes on from


class Supervised(TeacherStudent):
    """A network that learns from labels alone, auxiliary heads included; the loss of a step is the mean over the
    branches. Its teacher, if it has one, is the average of its weights, and learns nothing else."""

    def loss(self, inputs: dict[str, Tensor], data_samples: dict[str, Any]) -> dict[str, Tensor]:
        losses = {
            f"{branch}.{name}": value / len(inputs)
            for branch, images in inputs.items()
            for name, value in self.student.loss(images, data_samples[branch]).items()
        }
        return {name: value for name, value in losses.items() if "loss" in name}

    @property
    def trained(self) -> EncoderDecoder:
        """What predicts: the average of the weights, else the weights."""
        return self.student if self.teacher is None else self.teacher


@dataclass(frozen=True)
class Sources:
    """The labelled sets of a training, at least one of the two, and their label space."""

    labels: LabelSpace
    drawings: Joined | None
    photos: PhotoShards | None

    def check(self) -> None:
        """GraftError for an empty set, and for labels that are none of the space's."""
        for shards, stage in ((self.drawings, "masks"), (self.photos, "photos")):
            if shards is not None and not shards.rows:
                raise GraftError(f"{shards.folder} has no labelled picture to learn from; look at the stage {stage}")
            if shards is not None:
                files = shards.read(shards.rows[0]["uid"])
                where = f"{shards.folder}: sample {shards.rows[0]['uid']}"
                read_label(files, png_array(files["image.png"]), self.labels, where)

    def relabelled(self, model: EncoderDecoder, batch: int = 16) -> Sources:
        """The same with the drawings labelled by the model: its plain argmax, nothing ignored."""
        assert self.drawings is not None
        found: dict[str, bytes] = {}  # as PNG: 40 000 maps of 512 x 512 would be 10 GB
        uids = [row["uid"] for row in self.drawings.rows]
        for start in tqdm(range(0, len(uids), batch), desc="label drawings", unit="batch", delay=2, leave=False):
            part = uids[start : start + batch]
            images = [png_array(self.drawings.read(uid)["image.png"]) for uid in part]
            found |= {uid: png_bytes(label) for uid, label in zip(part, predict(model, images), strict=True)}
        folder, masks = self.drawings.pictures.folder, self.drawings.masks.folder
        return replace(self, drawings=Joined(folder, masks, lambda uid: png_array(found[uid])))

    def labelled(self) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.uint8]]]:
        """Image and label of every drawing."""
        assert self.drawings is not None
        for _, files in self.drawings:
            yield png_array(files["image.png"]), png_array(files["label.png"])


def first_photos(folder: Path, share: float) -> PhotoShards:
    """The first photos of a split, as many as this share of it, one at least: a larger share has those of a smaller."""
    photos = PhotoShards(folder)
    photos.rows = photos.rows[: max(1, round(share * len(photos.rows)))]
    return photos


def round_of(
    train: Train, seed: int, sources: Sources, encoder: Path | None, work: Path, workers: int = 0
) -> tuple[EncoderDecoder, Curve]:
    """Train a network from the start: it, in evaluation mode, and its losses. A finished round is read back."""
    make_deterministic(seed)
    student = build_network(train.model, len(sources.labels.names))
    student.init_weights()
    pretrained = load_encoder(student, encoder) if encoder else None
    model = Supervised(student, taught=train.ema is not None, teacher_norm="running")
    if (work / DONE).is_file():
        content = (work / DONE).read_bytes()
        model.load_state_dict(tensors.load(content))
        return model.trained.eval(), json.loads((work / "curve.json").read_text())
    curve = fit(
        model,
        dataset(train, seed, sources),
        seed=seed,
        iterations=train.iterations,
        batch=max(1, train.batch // branches_of(sources)),
        optimiser=clipped(
            adamw(student, train.lr, train.weight_decay, pretrained, train.encoder_lr, train.no_decay), train.clip
        ),
        schedule=[{"type": "PolyLR", "power": train.poly, "begin": 0, "end": train.iterations + 1, "by_epoch": False}],
        hooks=[MeanTeacher(train.ema, "end")] if train.ema is not None else [],
        work=work,
        section=SECTION,
        workers=workers,
    )
    write_whole(work / "curve.json", json.dumps(curve))
    write_whole(work / DONE, tensors.save({name: value.contiguous() for name, value in model.state_dict().items()}))
    return model.trained.eval(), curve


def branches_of(sources: Sources) -> int:
    return sum(shards is not None for shards in (sources.drawings, sources.photos))


def dataset(train: Train, seed: int, sources: Sources) -> BranchedDataset:
    """A drawing and, where there are both, a photo for each draw; a step has `batch` pictures of both together."""
    branches = {}
    if sources.drawings is not None:
        bank = None
        if train.compose.probability:
            bank = cut_out(sources.labelled(), train.compose.min_object, "cut out objects")
        branches["drawn"] = Branch(sources.drawings, pipeline(train, sources.labels, bank), sources.labels)
    if sources.photos is not None:
        branches["real"] = Branch(sources.photos, pipeline(train, sources.labels), sources.labels)
    return BranchedDataset(branches, train.iterations * max(1, train.batch // len(branches)), seed)


def clipped(optimiser: OptimWrapper, norm: float | None) -> OptimWrapper:
    """The same optimiser with its gradients clipped to this L2 norm; null: not."""
    assert isinstance(optimiser.optimizer, AdamW)
    return OptimWrapper(optimiser.optimizer, clip_grad=None if norm is None else {"max_norm": norm})


def training_key(train: Train, threads: int, sources: Sources, encoder: Path | None) -> str:
    """Over all that makes the weights: a checkpoint of another run is not gone on from."""
    drawings, photos = sources.drawings, sources.photos
    folders = [*([drawings.masks.folder] if drawings else []), *([photos.folder] if photos else [])]
    return key(
        train=train.model_dump(),
        threads=threads,
        classes=sources.labels.names,
        inputs=[file_hash(folder / INDEX) for folder in folders],
        encoder=file_hash(encoder) if encoder else None,
        code=fingerprint("stages.dataset_diffusion.train"),
    )
