"""What the stages share: the splits and features that params.yaml names, and how well clusters match classes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from stages.parts.datasets.label_spaces import label_space
from stages.parts.datasets.splits import Picture, Shown, Split, files_split, shards_split
from stages.parts.errors import GraftError
from stages.parts.masks.dense_crf import Kernels, dense_crf_labels
from stages.parts.measure.matching import Counts, one_to_one, overlap, scores
from stages.parts.pretrained.kept_features import KeptFeatures, pixels
from stages.primaps.em import said
from stages.primaps.params import Dataset, Folder, Primaps


@dataclass(frozen=True)
class Data:
    """A dataset of params.yaml: its name, its splits by name, and how many classes its label space has."""

    name: str
    given: Dataset
    primaps: Primaps

    @property
    def where(self) -> str:
        return f"primaps.datasets.{self.name}"

    def split(self, name: str) -> Split:
        """learn, val or test; no label of learn is read, and no more than its first `pictures`. GraftError that begins
        with the key in params.yaml."""
        found = self._whole(name)
        return found.first(self.given.pictures) if name == "learn" else found

    def _whole(self, name: str) -> Split:
        given, labelled = getattr(self.given, name), name != "learn"
        shown = Shown(**self.primaps.size.model_dump())
        try:
            if not isinstance(given, Folder):
                return shards_split(given, labelled, shown)
            if labelled and given.labels is None:
                raise GraftError("needs labels and ids; only learn goes without")
            labels, ids = given.labels if labelled else None, given.ids or "train_ids"
            return files_split(
                given.images, labels, ids, label_space(self.given.labels), shown, f"{self.where}.{name}.ids"
            )
        except GraftError as error:
            raise GraftError(f"params.yaml {self.where}.{name}: {error}") from None

    @property
    def classes(self) -> int:
        return len(label_space(self.given.labels).names)


def open_data(primaps: Primaps, name: str) -> Data:
    """The dataset of that name. GraftError when params.yaml describes none."""
    if name not in primaps.datasets:
        known = ", ".join(primaps.datasets)
        raise GraftError(f"params.yaml primaps.datasets: there is no {name!r}; take one of {known}")
    return Data(name, primaps.datasets[name], primaps)


def open_features(primaps: Primaps, device: str | None = None) -> KeptFeatures:
    """The backbone of params.yaml, on a GPU if there is one."""
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    return KeptFeatures(primaps.backbone, primaps.revision, primaps.shifts, device)


@dataclass(frozen=True)
class Linear:
    """A linear head on features less `mean` (C,): weight (K, C), bias (K,) or None."""

    weight: Tensor
    mean: Tensor
    bias: Tensor | None = None

    @torch.no_grad()
    def __call__(self, features: Tensor, size: tuple[int, int]) -> Tensor:
        """(B, C, h, w) -> logits (B, K, H, W)."""
        return said(self.weight, self.bias, features - self.mean[:, None, None], size)


Row = TypeVar("Row")
Look = Callable[[Split, str, Picture], Tensor]  # a split, uid and picture -> its features (1, C, h, w)


def plainly(features: KeptFeatures) -> Look:
    """Kept by the hash of the picture: pictures of two splits may have one uid."""
    return lambda split, uid, image: features.named((split.hashes[uid],), lambda: pixels([image]))


def mirrored(features: KeptFeatures) -> Look:
    """The same, the mean of the picture and its mirror image."""
    return lambda split, uid, image: features.mirrored((split.hashes[uid],), lambda: pixels([image]))


def logits_of(
    split: Split, heads: Mapping[Row, Linear], look: Look, title: str
) -> Iterator[tuple[str, Picture, Picture, dict[Row, Tensor]]]:
    """Uid, picture, label (H, W), and every head's logits (K, H, W), picture by picture."""
    for uid in tqdm(split.hashes, desc=title, unit="picture", delay=2):
        (image,), (label,) = split.labelled([uid])
        found = look(split, uid, image)
        yield uid, image, label, {name: head(found, label.shape)[0] for name, head in heads.items()}


def snapped(image: Picture, logits: Tensor, crf: Kernels) -> NDArray[np.int64]:
    """The clusters after a dense CRF on the logits' softmax: (K, H, W) -> (H, W)."""
    return dense_crf_labels(image, logits.softmax(0).numpy(), crf).argmax(0)


def matched(counts: Counts, where: str) -> NDArray[np.int64]:
    """S (clusters, classes) -> the class of each cluster, -1 for none: one to one, by pixels, among the classes that
    occur. GraftError when they are more than the clusters."""
    occurring = np.flatnonzero(counts.sum(axis=0))
    if len(occurring) > len(counts):
        raise GraftError(
            f"params.yaml {where}.clusters: {len(counts)} prototypes cannot be matched one to one with the "
            f"{len(occurring)} classes that the labels show; set it to {len(occurring)} or more"
        )
    found = one_to_one(counts[:, occurring])
    return np.where(found < 0, -1, occurring[found])


def cluster_scores(counts: Counts, where: str) -> tuple[NDArray[np.float64], float, float]:
    """IoU per class, mIoU and accuracy in percent, clusters matched as of `matched`."""
    return scores(counts, matched(counts, where))


def check_clusters(data: Data, split: Split) -> None:
    """GraftError, before work is wasted, when a labelled split shows more classes than there are prototypes."""
    pixels = np.zeros((data.given.clusters, data.classes), dtype=np.int64)
    for uid in split.hashes:
        label = split.labelled([uid])[1]
        pixels += overlap(np.zeros_like(label), label, len(pixels), data.classes)
    matched(pixels, data.where)


def val_miou(features: KeptFeatures, data: Data, val: Split, head: Linear) -> float:
    """mIoU of a head's clusters on a labelled split, without mirror image and CRF."""
    counts = np.zeros((len(head.weight), data.classes), dtype=np.int64)
    look = plainly(features)
    for uid in val.hashes:
        (image,), (label,) = val.labelled([uid])
        prediction = head(look(val, uid, image), label.shape)[0].argmax(0).numpy()
        counts += overlap(prediction, label, len(counts), data.classes)
    return cluster_scores(counts, data.where)[1]
