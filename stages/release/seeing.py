"""What the self-distilled ViT and the saliency net see in photos and streets that no training has shown them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm
from transformers import AutoConfig, AutoModel

from stages.parts.datasets.label_spaces import SMALL_VOC
from stages.parts.datasets.labels import CITYSCAPES
from stages.parts.measure.confusion import confusion, scores
from stages.parts.measure.probe import linear_probe, neighbours_say
from stages.parts.measure.saliency import max_f, mean_absolute_error
from stages.parts.pretrained.features import Features
from stages.parts.pretrained.saliency import load_saliency
from stages.parts.world.photos import Photo, photo
from stages.parts.world.streets import street

SEED = 7  # of pictures that neither a line nor a training draws
KNOWN, UNSEEN = 500, 200  # pictures that the probe learns from, and that it is examined on
SALIENT = 300

Look = Callable[[NDArray[np.uint8]], NDArray[np.float32]]  # (B, H, W, 3) -> (B, C, h, w)


def probed(folder: Path) -> dict[str, dict[str, float]]:
    """mIoU of a linear probe on photos and on streets, in percent, and the accuracy of the nearest neighbours of photos
    with one object; of the ViT, of the same with random weights, and of the colours of its patches alone."""
    vit = Features(folder)
    random = Features(folder)
    torch.manual_seed(0)
    random.model = AutoModel.from_config(AutoConfig.from_pretrained(folder)).eval()
    photos = [photo(k, SEED, "train") for k in range(KNOWN)], [photo(k, SEED, "val") for k in range(UNSEEN)]
    streets = [street(k, SEED, "target", 64, 128) for k in range(KNOWN + UNSEEN)]
    figures = {}
    for name, look in {"vit": vit.batch, "random": random.batch, "colours": patch_colours(vit.patch or 4)}.items():
        taken = [(each.image, each.label) for split in photos for each in split]
        figures[name] = {
            "photos_miou": _miou(look, taken, SMALL_VOC.names),
            "streets_miou": _miou(look, streets, CITYSCAPES.names),
            "photos_knn": _knn(look, *photos),
        }
    return figures


def patch_colours(side: int) -> Look:
    """The pixels of each patch themselves."""

    def look(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        b, h, w, c = images.shape
        cells = images.reshape(b, h // side, side, w // side, side, c).astype(np.float32) / 255
        patches = cells.transpose(0, 2, 4, 5, 1, 3).reshape(b, -1, h // side, w // side)
        return patches.astype(np.float32, copy=False)

    return look


def _seen(look: Look, images: list[NDArray[np.uint8]]) -> NDArray[np.float32]:
    starts = tqdm(range(0, len(images), 25), desc="looking", unit="batch", delay=2, leave=False)
    return np.concatenate([look(np.stack(images[k : k + 25])) for k in starts])


def _miou(look: Look, pictures: list[tuple[NDArray[np.uint8], NDArray[np.uint8]]], names: tuple[str, ...]) -> float:
    features = _seen(look, [image for image, _ in pictures])
    labels = np.stack([label for _, label in pictures])
    found = linear_probe(features[:KNOWN], labels[:KNOWN], features[KNOWN:], len(names))
    matrix = confusion(torch.from_numpy(labels[KNOWN:]), torch.from_numpy(found), len(names)).numpy()
    return float(scores(matrix, names, ())["mIoU"])


def _knn(look: Look, known: list[Photo], unseen: list[Photo]) -> float:
    """In percent, of photos with one object."""

    def single(photos: list[Photo]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        ones = [each for each in photos if len(each.objects) == 1]
        names = np.array([SMALL_VOC.id(each.classes[0]) for each in ones])
        return _seen(look, [each.image for each in ones]).mean((2, 3)), names

    features, names = single(known)
    asked, truth = single(unseen)
    return round(100 * float(np.mean(neighbours_say(features, names, asked, len(SMALL_VOC.names)) == truth)), 1)


def salient(path: Path) -> dict[str, float]:
    """Max F and mean absolute error on photos, whose style the training pages do not have."""
    net = load_saliency(path)
    photos = [photo(k, SEED, "test") for k in range(SALIENT)]
    maps = [net(each.image) for each in tqdm(photos, desc="saliency", unit="photo", delay=2)]
    labels = [each.label for each in photos]
    return {"max_f": round(max_f(maps, labels), 4), "mae": round(mean_absolute_error(maps, labels), 4)}
