"""base: the segmenter of the base classes, which sees a novel object as background [2.1, 2.2].

in       data/photos/train with labels, params ncdss.{data,network,learning,base}
out      models/ncdss/base.safetensors (float16), models/ncdss/base.csv (losses)
command  python -m stages.ncdss.base
cost     6 minutes on one core
expect   base mIoU of 75 to 78 on val
source   Zhao et al., "Novel Class Discovery in Semantic Segmentation", CVPR 2022, section 3.3

Pictures with a base class are learned from; novel pixels in them are background. Those pictures count as unlabelled
later on, if they show a novel class too: as published.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from stages.ncdss.params import Params
from stages.parts.command import command
from stages.parts.sections import read

OUT = Path("models/ncdss/base.safetensors")


@command
def main(argv: Sequence[str] | None = None) -> None:
    argparse.ArgumentParser(
        prog="python -m stages.ncdss.base", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    ).parse_args(argv)
    params = read(Params)
    from stages.ncdss import training  # here, for torch and mmseg take seconds to load
    from stages.parts.datasets.photo_shards import PhotoShards
    from stages.parts.discovery import splits

    ncdss, parts = params.ncdss, training.parts_of(params.ncdss.data)
    photos = PhotoShards(Path(ncdss.data.photos, "train")).verify()
    pictures = splits.pictures_of(photos, parts)
    student = training.start(ncdss.network, 1 + len(parts.base), ncdss.base.seed, None)
    training.run(
        ncdss,
        params.engine.threads,
        title="ncdss-base",
        section="ncdss.learning",
        seed=ncdss.base.seed,
        iterations=ncdss.base.iterations,
        student=student,
        branches={"base": training.labelled(ncdss, pictures.base)},
        classes=parts.names[: 1 + len(parts.base)],
        out=OUT,
        inputs=[training.index_of(photos.folder)],
    )


if __name__ == "__main__":
    main()
