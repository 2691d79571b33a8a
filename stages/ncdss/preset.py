"""Write a preset of novel class discovery into params.yaml: what was published, or what we recommend.

    python -m stages.ncdss.preset parity          # or clean

in      VALUES below
out     the section `ncdss` of params.yaml, comments kept; `git diff` shows every value
cost    none
expect  parity: full size, and an ImageNet ResNet-50; in the small world several published settings fail (lines/ncdss)
source  parity: the published code of NCDSS; clean: ours

Rows, seeds, classes, folders and models stay as they are, but for the network, and an encoder of another one is
taken out.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from stages.ncdss.params import Params
from stages.parts.command import command
from stages.parts.preset import write_preset

# parity: epochs in iterations of 16 of PASCAL-5i's fold 0: 8829 / 16 = 551 of base, 2836 / 8 = 354 of the others.
VALUES: dict[str, dict[str, Any]] = {
    "parity": {
        "preset": "parity",
        "data": {"size": [512, 512]},
        "network": {"name": "deeplabv3-r50", "start": "encoder"},
        "learning": {
            "batch": 8, "optimiser": "sgd", "lr": 0.1, "encoder_lr": 0.01, "weight_decay": 1e-4, "clip": 0.0,
            "power": 0.9, "epoch": 354, "milestone": 15, "halve": True, "jitter": 0.0, "hue": 0.0, "degrees": 5.0,
            "zoom": 0.25, "border": 0,
        },
        "base": {"iterations": 33060},
        "regions": {
            "threshold": 0.5, "tau": 0.9, "grow": 0, "opened": 0, "min_area": None, "min_pixels": 1500, "parts": False,
            "doubt": False,
        },
        "cluster": {
            "look": "pooled", "dimensions": 32, "whiten": True, "exact": None, "overclustered": 10, "named": 10,
        },
        "basic": {"iterations": 10620, "long": 21240},
        "rank": {"share": 0.67, "quota": False},
        "eums": {
            "iterations": 10620, "start": "encoder", "momentum": 0.99, "teacher": "train", "eta": 0.0, "weight": 1.0,
            "ramp": 5, "reassign": 5, "jitter": 0.5, "hue": 0.25,
        },
        "evaluate": {"match_on": "test"},
    },
    "clean": {
        "preset": "clean",
        "data": {"size": None},
        "network": {"name": "fpn", "start": "base"},
        "learning": {
            "batch": 8, "optimiser": "adamw", "lr": 0.006, "encoder_lr": 0.3, "weight_decay": 0.01, "clip": 5.0,
            "power": 0.9, "epoch": 13, "milestone": None, "halve": False, "jitter": 0.2, "hue": 0.05, "degrees": 0.0,
            "zoom": 0.0, "border": 255,
        },
        "base": {"iterations": 1200},
        "regions": {
            "threshold": 0.5, "tau": 0.5, "grow": 2, "opened": 1, "min_area": 0.0146, "min_pixels": None, "parts": True,
            "doubt": True,
        },
        "cluster": {
            "look": "pooled", "dimensions": 8, "whiten": False, "exact": None, "overclustered": 6, "named": 12,
        },
        "basic": {"iterations": 300, "long": 700},
        "rank": {"share": 0.67, "quota": False},
        "eums": {
            "iterations": 400, "start": "basic", "momentum": 0.99, "teacher": "eval", "eta": 0.0, "weight": 1.0,
            "ramp": 5, "reassign": None, "jitter": 0.5, "hue": 0.25,
        },
        "evaluate": {"match_on": "val"},
    },
}  # fmt: skip
ENCODERS = {"parity": None, "clean": "models/miniature/encoder"}


@command
def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m stages.ncdss.preset", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("name", choices=VALUES)
    name = parser.parse_args(argv).name
    values = {key: dict(each) if isinstance(each, dict) else each for key, each in VALUES[name].items()}
    values["network"]["encoder"] = ENCODERS[name]
    write_preset({"ncdss": values}, Params)
    print(f"params.yaml has the settings of {name}")
    if ENCODERS[name] is None:
        print("set ncdss.network.encoder and ncdss.cluster.encoder to an ImageNet ResNet-50: none is chosen for you")


if __name__ == "__main__":
    main()
