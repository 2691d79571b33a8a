"""Bring the datasets into shards: a labelled source that lacks the novel classes, a target that has them.

in        params.yaml: scenes. Each split is a number of scenes of the small world, or a folder of yours:
          {images: FOLDER, labels: FOLDER, ids: a map of parts/datasets/idmaps.py, or a table {7: road, 0: ignore}}
out       data/scenes/{source,target,val,test}/: shards of image.png (RGB) and, but for target, label.png (uint8 train
          ids, 255 = ignore); each row of a labelled split counts the pixels of every class in it
command   python -m stages.scenes          and, to see which classes they hold or lack: python -m stages.scenes check
          python -m stages.scenes oracle   writes data/scenes/oracle/, the target with its labels, for train.method
          supervised alone
cost      13 s on one core for 1 800 scenes of 64 x 128; a rerun keeps what its key still matches
expected  source: no pixel of truck, bus, train; val and test: each of them in about a third of the images
source    the procedural streets of stages/parts/world

Target training images are written without a label: nothing further down the line can look at one by mistake.
Pictures of a folder are brought to scenes.height x scenes.width, or left as they are where these are null. DVC does
not watch a folder outside of the repo: after changing files there, run `dvc repro -s -f scenes`.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from stages.parts.command import command
from stages.parts.sections import read
from stages.parts.store.lock import alone
from stages.parts.store.samples import Sample, build, png_bytes
from stages.scenes.params import Params
from stages.scenes.sources import SPLITS, Source, Split, source

SCENES = Path("data/scenes")


@command
def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m stages.scenes", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "what", nargs="?", choices=["check", "oracle"], help="check: print which classes are absent or rare, draw "
        "data/check/*.png, and write no shard; oracle: write data/scenes/oracle, the labelled target, alone",
    )  # fmt: skip
    what, scenes = parser.parse_args(argv).what, read(Params).scenes
    if what == "oracle":
        _write("oracle", source("oracle", scenes))
        return
    sources = {split: source(split, scenes) for split in SPLITS}
    if what == "check":
        from stages.scenes.check import check  # here, for matplotlib takes a while to load

        check(sources, Path("data/check"))
        return
    with alone(SCENES):
        for split, scenes_of in sources.items():
            _write(split, scenes_of)


def _write(split: Split, scenes_of: Source) -> None:
    """Bring one split into its folder, which nobody else writes even while the pictures of a folder are hashed."""
    with alone(SCENES / split):
        _build(split, scenes_of, scenes_of.keys())


def _build(split: Split, scenes_of: Source, wanted: dict[str, str]) -> None:

    def make(uids: list[str]) -> Iterator[Sample]:
        for uid in uids:
            image, label = scenes_of.scene(uid)
            row: dict[str, Any] = {"height": image.shape[0], "width": image.shape[1], **scenes_of.about(uid)}
            files = {"image.png": png_bytes(image)}
            if split != "target" and label is not None:
                ids, pixels = np.unique(label, return_counts=True)
                row["pixels"] = {str(i): int(n) for i, n in zip(ids, pixels, strict=True)}
                files["label.png"] = png_bytes(label)
            yield Sample(uid, wanted[uid], row, files)

    build(SCENES / split, wanted, make, title=f"scenes {split}")


if __name__ == "__main__":
    main()
