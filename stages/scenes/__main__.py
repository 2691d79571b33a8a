"""Render the datasets: a labelled source that lacks the novel classes, a target that has them.

in        params.yaml: scenes
out       data/scenes/{source,target,val}/: shards of image.png (RGB) and, but for target, label.png (uint8 train
          ids, 255 = ignore); each row of a labelled split counts the pixels of every class in it
command   python -m stages.scenes
cost      10 s on one core for 1 320 scenes of 64 x 128; a rerun keeps what its key still matches
expected  source: no pixel of truck, bus, train; val: each of them in a quarter of the images
source    the procedural streets of stages/miniature

Target training images are written without a label: nothing further down the line can look at one by mistake.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from stages.miniature.streets import Domain, street
from stages.params import Scenes, command, read
from stages.samples import Sample, build, code_version, key, png_bytes

Split = Literal["source", "target", "val"]
DOMAIN: dict[Split, Domain] = {"source": "source", "target": "target", "val": "target"}
FIRST: dict[Split, int] = {"source": 0, "target": 0, "val": 1_000_000}  # val renders other streets than target
RENDERER = ("stages.miniature.streets", "stages.miniature.canvas", "stages.miniature.objects", "stages.miniature.pen")


@command
def main(argv: Sequence[str] | None = None) -> None:
    argparse.ArgumentParser(
        prog="python -m stages.scenes", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    ).parse_args(argv)
    scenes = read().scenes
    code = code_version(*RENDERER)
    counts: dict[Split, int] = {"source": scenes.source, "target": scenes.target, "val": scenes.val}
    for split, count in counts.items():
        _write(split, count, scenes, code)


def _write(split: Split, count: int, scenes: Scenes, code: str) -> None:
    size = (scenes.height, scenes.width)
    wanted = {f"{split}-{k:06d}": key(split=split, k=k, seed=scenes.seed, size=size, code=code) for k in range(count)}

    def make(uids: list[str]) -> Iterator[Sample]:
        for uid in uids:
            index = FIRST[split] + int(uid.removeprefix(f"{split}-"))
            image, label = street(index, scenes.seed, DOMAIN[split], *size)
            row: dict[str, Any] = {"height": size[0], "width": size[1]}
            files = {"image.png": png_bytes(image)}
            if split != "target":
                ids, pixels = np.unique(label, return_counts=True)
                row["pixels"] = {str(i): int(n) for i, n in zip(ids, pixels, strict=True)}
                files["label.png"] = png_bytes(label)
            yield Sample(uid, wanted[uid], row, files)

    build(Path("data/scenes") / split, wanted, make, title=f"scenes {split}")


if __name__ == "__main__":
    main()
