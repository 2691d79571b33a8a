"""Pasting into scenes of 1280 x 760: our preset `ucg` and our own way against the published way, per worker.

    python -m tests.benchmarks.pasting

Published: decode the 512 x 512 image and its mask, two PNGs, and index the frame with booleans (one class, one cutout,
native size). Ours decodes one tight RGBA PNG from the shards and touches the cutout's box alone. The cutouts are the
same objects, discs of 60 % of each side, textured. Expected: the published way takes at least twice as long.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import cv2
import numpy as np

from stages.parts.pasting.paste import Cutouts, PasteCutouts
from stages.parts.pasting.place import Scale
from stages.parts.store.samples import Sample, Shards, build, key, png_array, png_bytes
from tests.benchmarks.interleaved import interleaved, show

COUNT = 20


def drawing(k: int) -> tuple[np.ndarray, np.ndarray]:
    """A picture of 512 x 512 and the mask of its object, 0 or 1."""
    rng = np.random.default_rng(k)
    coarse = rng.integers(0, 255, (32, 32, 3), dtype=np.uint8)
    image = cv2.resize(coarse, (512, 512), interpolation=cv2.INTER_CUBIC)
    image = np.clip(image + rng.normal(0, 6, image.shape), 0, 255).astype(np.uint8)
    rows, cols = np.mgrid[:512, :512]
    return image, (((rows - 256) / 154) ** 2 + ((cols - 256) / 154) ** 2 <= 1).astype(np.uint8)


def published(scene: np.ndarray, label: np.ndarray, files: list[tuple[bytes, bytes]], k: int) -> None:
    """As ucg.md tells it: a region of 512 x 512 of the copied frame, indexed by the whole mask."""
    rng = np.random.default_rng(k)
    image, mask = (png_array(content) for content in files[k % COUNT])
    frame, ids = scene.copy(), label.copy()
    row, col = rng.integers(760 - 512), rng.integers(1280 - 512)
    wide, painted = np.zeros(label.shape, np.uint8), np.zeros_like(scene)
    wide[row : row + 512, col : col + 512] = mask
    painted[row : row + 512, col : col + 512] = image
    frame[wide > 0] = painted[wide > 0]
    ids[wide > 0] = (wide * 16)[wide > 0]


def main() -> None:
    cv2.setNumThreads(1)
    drawings = [drawing(k) for k in range(COUNT)]
    files = [(png_bytes(image), png_bytes(mask)) for image, mask in drawings]
    scene = cv2.resize(drawings[0][0], (1280, 760))
    label = np.zeros(scene.shape[:2], np.uint8)
    with tempfile.TemporaryDirectory() as folder:
        samples = {f"train-{k}": tight(*drawings[k]) for k in range(COUNT)}
        build(
            Path(folder),
            {uid: key(uid=uid) for uid in samples},
            lambda uids: (Sample(u, key(uid=u), {"class": "train"}, {"rgba.png": samples[u]}) for u in uids),
            title="bank",
        )
        bank = {16: Cutouts(Shards(folder), "train")}
        ucg = PasteCutouts(bank, 1.0, "class", 1, Scale("native"), "anywhere", 0.0)
        ours = PasteCutouts(bank, 1.0, "image", 1, Scale("height", 0.15, 0.7), "ground", 0.5)
        number = iter(range(10**9))
        results = {"seed": 0, "img": scene, "gt_seg_map": label}
        ways = {
            "preset ucg": lambda: ucg.transform({"draw": next(number), **results}),
            "ours": lambda: ours.transform({"draw": next(number), **results}),
            "published": lambda: published(scene, label, files, next(number)),
        }
        show(interleaved(ways, 40), "preset ucg")


def tight(image: np.ndarray, mask: np.ndarray) -> bytes:
    rows, cols = (np.flatnonzero(mask.any(axis)) for axis in (1, 0))
    box = slice(rows[0], rows[-1] + 1), slice(cols[0], cols[-1] + 1)
    return png_bytes(np.dstack([image * mask[..., None], 255 * mask])[box])


if __name__ == "__main__":
    main()
