"""Segment the labelled target images and count what is right: on `val`, for choosing, and on `test`, for reporting.

    python -m stages.evaluate RECIPE SEED

in      models/segmenters/RECIPE-SEED.safetensors, data/scenes/{val,test}/, `classes` and the section
        `evaluate` of params.yaml
out     data/evaluated/RECIPE-SEED/{val,test}/ (prediction.png of every image),
        data/evaluated/RECIPE-SEED/scores.json (of each split the confusion matrix; IoU, boundary IoU and accuracy of
        every class, means; what car, truck, bus and train are taken for)
cost    15 seconds on one core with the default params
expect  baseline: novel_mIoU near 0
source  IoU as in Cityscapes and mmsegmentation, boundary IoU of Cheng et al. 2021; what counts in a mean is
        told in parts/measure/confusion.py, how an image is looked at in parts/segmenter/predict.py
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from stages.evaluate.params import Params
from stages.parts.command import command, seed
from stages.parts.sections import read
from stages.parts.store.atomic import write_changed
from stages.parts.store.lock import alone
from stages.parts.store.shards import Shards

SPLITS = ("val", "test")


@command
def main(argv: Sequence[str] | None = None) -> None:
    recipe, seed = _arguments(argv)
    params = read(Params)
    with alone(Path(f"data/evaluated/{recipe}-{seed}")):
        evaluate(recipe, seed, params)


def evaluate(recipe: str, seed: int, params: Params) -> None:
    """Predict and measure both splits, and write the scores."""
    from mmengine.device import get_device  # here, for torch and mmseg take seconds to load

    from stages.evaluate.evaluation import evaluated
    from stages.parts.segmenter.files import load_segmenter

    weights, folder = Path(f"models/segmenters/{recipe}-{seed}.safetensors"), Path(f"data/evaluated/{recipe}-{seed}")
    model, classes = load_segmenter(weights)
    model.to(get_device())
    scenes = {split: Shards(f"data/scenes/{split}").verify() for split in SPLITS}
    result = {"recipe": recipe, "seed": seed, "classes": classes, "novel": params.classes}
    for split in SPLITS:
        result[split] = evaluated(
            model,
            weights,
            classes,
            params.classes,
            scenes[split],
            folder / split,
            params.evaluate,
            params.engine.threads,
        )
    write_changed(folder / "scores.json", json.dumps(result, indent=1) + "\n")


def _arguments(argv: Sequence[str] | None) -> tuple[str, int]:
    parser = argparse.ArgumentParser(
        prog="python -m stages.evaluate",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("recipe", help="the recipe of a trained segmenter, for example baseline or grafted")
    parser.add_argument("seed", type=seed, help="its seed")
    args = parser.parse_args(argv)
    return args.recipe, args.seed


if __name__ == "__main__":
    main()
